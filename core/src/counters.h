// Counters that hot paths add to: a shard for each thread, summed when somebody asks.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "holdfast/base/units.h"
#include "holdfast/latency.h"
#include "src/thread_index.h"

namespace holdfast {

enum class Count : std::uint8_t {
  puts,
  put_bytes,
  gets_local,
  gets_shared,
  gets_remote,
  get_bytes_local,
  get_bytes_shared,
  get_bytes_remote,
  remote_reads,
  remote_stale,
  remote_torn,
  corrupt,
  reference_messages,
  gets_from_disk,
  kCount
};

/// A histogram that any thread adds to, for what takes microseconds.
class SharedHistogram {
 public:
  void add(Duration took) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(took.count(), 0));
    buckets_[LatencyHistogram::bucket_of(ns)].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(ns, std::memory_order_relaxed);
  }
  LatencyHistogram read() const noexcept {
    LatencyHistogram histogram;
    for (std::size_t i = 0; i < buckets_.size(); ++i)
      histogram.count += histogram.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    histogram.sum_ns = sum_ns_.load(std::memory_order_relaxed);
    return histogram;
  }

 private:
  std::array<std::atomic<std::uint64_t>, LatencyHistogram::kBuckets> buckets_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

class Counters {
 public:
  void add(Count which, std::uint64_t by = 1) noexcept {
    const std::uint32_t thread = thread_index();
    if (thread < kShards - 1) {
      // Nobody else writes this one, and who had it before has ended: no locked instruction.
      auto& count = shards_[thread].counts[static_cast<std::size_t>(which)];
      count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    } else {
      shards_[kShards - 1].counts[static_cast<std::size_t>(which)].fetch_add(by, std::memory_order_relaxed);
    }
  }
  std::uint64_t sum(Count which) const noexcept {
    std::uint64_t total = 0;
    for (const Shard& shard : shards_)
      total += shard.counts[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
    return total;
  }

 private:
  /// Threads beyond share the last one, and so do those that are about to end.
  static constexpr std::size_t kShards = 128;
  static_assert(kEndingThread >= kShards - 1);
  struct alignas(kCacheLine) Shard {
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Count::kCount)> counts{};
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace holdfast
