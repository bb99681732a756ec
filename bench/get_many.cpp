// How many objects of 4 KiB a second does get_many fetch, scattered and side by side? The limit is fi_read of
// 4 KiB at its best depth, from places as far apart as the scattered objects, or side by side.
#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/remote.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBytes = 4096;
constexpr std::size_t kObjects = 1000;

// Between scattered objects: more than get_many reads along.
constexpr std::uint64_t kGap = 64ULL << 10;

Result<double> get_rate(Store& store, const std::vector<ObjectRef>& refs) {
  const Stopwatch watch;
  const auto pins = store.get_many(refs, 10s);
  const double seconds = watch.ns() * 1e-9;
  for (const auto& pin : pins)
    if (!pin) return tl::unexpected(pin.error());
  return static_cast<double>(refs.size()) / seconds;
}

enum class Placing : std::uint8_t { scattered, side_by_side };

Result<Case> prepare(Placing placing) {
  HOLDFAST_TRY(Remote* const at, remote());
  const bool scattered = placing == Placing::scattered;
  HOLDFAST_TRY(std::vector<ObjectRef> refs,
               at->pair->put({.count = kObjects, .bytes = kBytes, .gap_bytes = scattered ? kGap : 0}));
  if (scattered) std::shuffle(refs.begin(), refs.end(), std::mt19937(1));
  Case made{.limit = {}, .subject = [=] { return get_rate(at->pair->store(), refs); }, .other_limits = {}};
  for (const int depth : {4, 8, 16, 32, 64, 128}) {
    const RawFabric::Stream stream = {.bytes = kObjects * kBytes,
                                      .chunk = kBytes,
                                      .depth = depth,
                                      .rounds = 1,
                                      .stride = scattered ? kBytes + kGap : 0};
    Round rate = [=]() -> Result<double> {
      HOLDFAST_TRY(const double bandwidth, at->raw->read_bandwidth(stream));
      return bandwidth / kBytes;
    };
    if (made.limit)
      made.other_limits.push_back(std::move(rate));
    else
      made.limit = std::move(rate);
  }
  return made;
}

void add_cases() {
  add_case({.name = "get_many/scattered",
            .quantity = Quantity::per_s,
            .goal = Goal::ratio_at_least(0.9),
            .rounds = 25},
           [] { return prepare(Placing::scattered); });
  add_case({.name = "get_many/side_by_side",
            .quantity = Quantity::per_s,
            .goal = Goal::ratio_at_least(3),
            .rounds = 25},
           [] { return prepare(Placing::side_by_side); });
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(argc, argv, add_cases, end_remote);
}
