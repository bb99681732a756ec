// Counters that hot paths add to: a shard for each thread, summed when somebody asks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "holdfast/base/units.h"
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
  restores_asked,
  kCount
};

class Counters {
 public:
  void add(Count which, std::uint64_t by = 1) noexcept {
    const std::uint32_t thread = thread_index();
    if (thread < kShards - 1) {
      // Nobody else writes this one: no locked instruction.
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
  /// Threads beyond share the last one.
  static constexpr std::size_t kShards = 128;
  struct alignas(kCacheLine) Shard {
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Count::kCount)> counts{};
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace holdfast
