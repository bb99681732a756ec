// How full a range can get before the first refusal, in random traces that replay from their seed. No memory
// stands behind the range, so 4 GiB cost nothing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "holdfast/numa/allocator.h"

namespace holdfast::numa {
namespace {

constexpr std::uint64_t kRange = 4_GiB;

/// Sizes whose logarithm is uniform: as many between 64 and 128 B as between 32 and 64 MiB.
class LogUniform {
 public:
  LogUniform(std::uint64_t least, std::uint64_t most)
      : exponent_(std::log2(static_cast<double>(least)), std::log2(static_cast<double>(most))) {}
  std::uint64_t operator()(std::mt19937_64& random) {
    return static_cast<std::uint64_t>(std::exp2(exponent_(random)));
  }

 private:
  std::uniform_real_distribution<double> exponent_;
};

/// Blocks of random size come, and random ones go.
class Trace {
 public:
  Trace(Allocator& allocator, std::uint64_t seed) : allocator_(allocator), random_(seed) {}

  /// False: refused.
  bool come() {
    const auto extent = allocator_.allocate(size_(random_));
    if (!extent) return false;
    live_.push_back(*extent);
    used_ += extent->bytes;
    return true;
  }

  void go() {
    const std::size_t which = std::uniform_int_distribution<std::size_t>(0, live_.size() - 1)(random_);
    allocator_.free(live_[which]);
    used_ -= live_[which].bytes;
    live_[which] = live_.back();
    live_.pop_back();
  }

  bool coin(double heads) { return std::bernoulli_distribution(heads)(random_); }
  double used() const { return static_cast<double>(used_) / static_cast<double>(kRange); }

 private:
  Allocator& allocator_;
  std::mt19937_64 random_;
  LogUniform size_{64, 64_MiB};
  std::vector<Extent> live_;
  std::uint64_t used_ = 0;
};

/// Fills to 80 %, lets the blocks change many times over at that level, so that holes are as scattered as
/// they get, then lets more come than go until one is refused. Returns the share in use at that moment.
double use_at_first_refusal(std::uint64_t seed, unsigned changes) {
  Allocator allocator(kRange);
  Trace trace(allocator, seed);
  for (unsigned i = 0; i < changes; ++i) {
    if (trace.used() > 0.80) {
      trace.go();
    } else if (!trace.come()) {
      return trace.used();
    }
  }
  for (;;) {
    if (trace.coin(0.1)) trace.go();
    if (!trace.come()) return trace.used();
  }
}

TEST(AllocatorTrace, refuses_nothing_below_ninety_percent) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_GE(use_at_first_refusal(seed, 20000), 0.90) << "seed " << seed;
  }
}

}  // namespace
}  // namespace holdfast::numa
