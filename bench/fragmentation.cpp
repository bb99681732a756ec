// Do puts of a quarter of the arena succeed after a day's worth of mixed churn, and what do they cost? The
// limit is memcpy of as many bytes as were moved out of the way.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "bench/peer.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kArena = 256_MiB, kQuarter = kArena / 4;
constexpr std::uint64_t kLevel = kArena / 100 * 60;  ///< of objects that are held
constexpr std::uint64_t kSeed = 1;
// A put every 40 ms is two million a day.
constexpr std::uint64_t kDay = 2'000'000, kBetween = 20'000;
constexpr int kQuarters = 20;

/// Objects that come and go: nine of ten up to 64 KiB, as many of each power of two, the others up to 4 MiB;
/// each lives until it is picked at random.
class Churn {
 public:
  explicit Churn(Store& store) : store_(store) {}

  Status run(std::uint64_t puts) {
    PutOptions options;
    options.timeout = 0s;  // there is room: nothing is waited for
    options.checksum = PutOptions::Checksum::off;
    for (std::uint64_t i = 0; i < puts; ++i) {
      const std::uint64_t size = random_size();
      while (bytes_ + size > kLevel) drop();
      // The payload is not written: what matters here is where it lies.
      HOLDFAST_TRY(Draft draft, store_.draft(size, options));
      HOLDFAST_TRY(ObjectRef ref, std::move(draft).seal());
      bytes_ += size;
      held_.push_back(std::move(ref));
    }
    return {};
  }

 private:
  std::uint64_t next() { return mix64(random_ += 0x9e3779b97f4a7c15ULL); }
  std::uint64_t random_size() {
    const std::uint64_t power = next() % 10 != 0 ? 64ULL << next() % 10 : 64_KiB << next() % 6;
    return power + next() % power;
  }
  void drop() {
    ObjectRef& one = held_[next() % held_.size()];
    bytes_ -= one.size();
    std::swap(one, held_.back());
    held_.pop_back();
  }

  Store& store_;
  std::uint64_t random_ = kSeed;
  std::uint64_t bytes_ = 0;
  std::vector<ObjectRef> held_;
};

double time_memcpy(std::uint64_t bytes) {
  static std::vector<std::byte> from(kArena / 2, std::byte{1}), to(kArena / 2, std::byte{2});
  const Stopwatch watch;
  for (std::uint64_t left = bytes; left > 0;) {
    const std::uint64_t some = std::min<std::uint64_t>(left, from.size());
    std::memcpy(to.data(), from.data(), some);
    benchmark::DoNotOptimize(to.data());
    left -= some;
  }
  return watch.ns();
}

struct Quarters {
  std::vector<double> ns, memcpy_ns;  ///< of those that had to move something
  std::uint64_t asked = 0, given = 0, moved_bytes = 0;
  double largest_hole = 0;  ///< share of what was free, in the mean
};

Result<Quarters> run(Collect collect) {
  ::setenv("HOLDFAST_COLLECT", collect == Collect::eager ? "eager" : "lazy", 1);
  HOLDFAST_TRY(Store store, open_alone(kArena));
  Churn churn(store);
  HOLDFAST_DO(churn.run(kDay));
  Quarters out;
  PutOptions options;
  options.timeout = 0s;
  for (int i = 0; i < kQuarters; ++i) {
    HOLDFAST_DO(churn.run(kBetween));
    const Stats before = store.stats();
    const NodeStats& node = before.nodes.front();
    out.largest_hole +=
        static_cast<double>(node.largest_free) / static_cast<double>(node.bytes_free) / kQuarters;
    const Stopwatch watch;
    const auto draft = store.draft(kQuarter, options);
    const double ns = watch.ns();
    ++out.asked;
    if (!draft) continue;
    ++out.given;
    const std::uint64_t moved = store.stats().moved_bytes - before.moved_bytes;
    if (moved == 0) continue;
    out.moved_bytes += moved;
    out.ns.push_back(ns);
    out.memcpy_ns.push_back(time_memcpy(moved));
  }
  return out;
}

void add_quarters(const char* name, Collect collect) {
  const auto measure = [collect](benchmark::State& state) {
    Quarters out;
    for ([[maybe_unused]] const auto unused : state) {
      auto done = run(collect);
      if (!done) return state.SkipWithError(done.error().message().c_str());
      out = std::move(*done);
      if (out.ns.empty()) return state.SkipWithError("nothing had to be moved: this measures nothing");
      state.SetIterationTime(median(out.ns) * 1e-9);
    }
    std::vector<double> ratios;
    for (std::size_t i = 0; i < out.ns.size(); ++i) ratios.push_back(out.ns[i] / out.memcpy_ns[i]);
    state.counters["measured"] = median(out.ns);
    state.counters["limit"] = median(out.memcpy_ns);
    state.counters["ratio"] = median(std::move(ratios));
    state.counters["succeeded"] = static_cast<double>(out.given) / static_cast<double>(out.asked);
    state.counters["moved_bytes"] = static_cast<double>(out.moved_bytes) / static_cast<double>(out.ns.size());
    state.counters["largest_hole"] = out.largest_hole;
    state.SetLabel("ns");
  };
  benchmark::RegisterBenchmark(name, measure)->UseManualTime()->Iterations(1)->Repetitions(3);
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(argc, argv, [] {
    add_quarters("fragmentation/put_quarter/eager", holdfast::Collect::eager);
    add_quarters("fragmentation/put_quarter/lazy", holdfast::Collect::lazy);
  });
}
