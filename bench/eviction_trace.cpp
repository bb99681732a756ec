#include "bench/eviction_trace.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <queue>
#include <utility>

#include "holdfast/base/random.h"

namespace holdfast::bench {
namespace {

constexpr std::size_t kAccesses = 1'000'000;
constexpr std::uint32_t kPopular = 100'000;
constexpr std::size_t kBetweenScans = 20'000;
constexpr std::size_t kScan = 10'000;
constexpr std::uint32_t kLooped = 11'000;

/// The standard's generators are the same everywhere, its distributions are not.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept { return mix64(state_ += 0x9e3779b97f4a7c15ULL); }
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }
  /// In [0, 1).
  double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

std::vector<std::uint32_t> draw_sizes(std::size_t count, Random random) {
  std::vector<std::uint32_t> sizes(count);
  for (std::uint32_t& size : sizes) {
    const std::uint64_t least = std::uint64_t{1} << (10 + random.below(10));
    size = static_cast<std::uint32_t>(least + random.below(least) + 1);
  }
  return sizes;
}

std::uint64_t sum(const std::vector<std::uint32_t>& sizes, std::size_t first) {
  return std::accumulate(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(first), std::uint64_t{0});
}

/// Draws ranks from 0 by looking up a number in the sums of 1/n: nothing but IEEE additions and divisions.
class Zipf {
 public:
  explicit Zipf(std::uint32_t count) : sums_(count) {
    double total = 0;
    for (std::uint32_t rank = 0; rank < count; ++rank) sums_[rank] = total += 1.0 / (rank + 1);
  }
  std::uint32_t operator()(Random& random) const {
    const auto at = std::upper_bound(sums_.begin(), sums_.end(), random.unit() * sums_.back());
    return static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(at - sums_.begin(), std::ssize(sums_) - 1));
  }

 private:
  std::vector<double> sums_;
};

/// For each access, when its key is accessed next; the number of accesses where it is not.
std::vector<std::size_t> next_uses(const Trace& trace) {
  const std::size_t never = trace.keys.size();
  std::vector<std::size_t> next(never), seen(trace.sizes.size(), never);
  for (std::size_t i = never; i-- > 0;) next[i] = std::exchange(seen[trace.keys[i]], i);
  return next;
}

}  // namespace

Trace zipf_trace(std::uint64_t seed) {
  Trace trace{{}, draw_sizes(kPopular, Random(seed)), 0};
  trace.capacity = sum(trace.sizes, kPopular) / 10;
  const Zipf zipf(kPopular);
  Random random(~seed);
  for (std::size_t i = 0; i < kAccesses; ++i) trace.keys.push_back(zipf(random));
  return trace;
}

Trace scanned_trace(std::uint64_t seed) {
  const Trace popular = zipf_trace(seed);
  Trace trace{{}, draw_sizes(kPopular + kAccesses / kBetweenScans * kScan, Random(seed)), popular.capacity};
  std::uint32_t fresh = kPopular;
  for (std::size_t i = 0; i < kAccesses; ++i) {
    trace.keys.push_back(popular.keys[i]);
    if ((i + 1) % kBetweenScans == 0)
      for (std::size_t scanned = 0; scanned < kScan; ++scanned) trace.keys.push_back(fresh++);
  }
  return trace;
}

Trace loop_trace(std::uint64_t seed) {
  Trace trace{{}, draw_sizes(kLooped, Random(seed)), 0};
  trace.capacity = sum(trace.sizes, kLooped) / 10 * 9;
  for (std::size_t i = 0; i < kAccesses; ++i) trace.keys.push_back(static_cast<std::uint32_t>(i % kLooped));
  return trace;
}

double belady_hit_ratio(const Trace& trace) {
  const std::vector<std::size_t> next = next_uses(trace);
  // Furthest first. An object's earlier entries name a use that is over; it is out, or has a later entry.
  std::priority_queue<std::pair<std::size_t, std::uint32_t>> furthest;
  std::vector<bool> inside(trace.sizes.size());
  std::uint64_t bytes = 0;
  std::size_t hits = 0;
  for (std::size_t i = 0; i < trace.keys.size(); ++i) {
    const std::uint32_t key = trace.keys[i];
    if (inside[key]) {
      ++hits;
    } else {
      inside[key] = true;
      bytes += trace.sizes[key];
    }
    furthest.emplace(next[i], key);
    // Uses that are over are never the furthest while a live entry is there, and all that is inside has one.
    for (; bytes > trace.capacity; furthest.pop()) {
      inside[furthest.top().second] = false;
      bytes -= trace.sizes[furthest.top().second];
    }
  }
  return static_cast<double>(hits) / static_cast<double>(trace.keys.size());
}

double hit_ratio_bound(const Trace& trace) {
  const std::vector<std::size_t> next = next_uses(trace);
  const double accesses = static_cast<double>(trace.keys.size());
  std::vector<double> costs;  // of each hit there could be, byte-accesses
  for (std::size_t i = 0; i < next.size(); ++i)
    if (next[i] < next.size())
      costs.push_back(static_cast<double>(next[i] - i) * static_cast<double>(trace.sizes[trace.keys[i]]));
  std::ranges::sort(costs);
  double left = static_cast<double>(trace.capacity) * accesses;
  std::size_t hits = 0;
  while (hits < costs.size() && (left -= costs[hits]) >= 0) ++hits;
  return static_cast<double>(hits) / accesses;
}

}  // namespace holdfast::bench
