// Counters that hot paths add to: a shard for every few threads, summed when somebody asks.
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
  kCount
};

class Counters {
 public:
  void add(Count which, std::uint64_t by = 1) noexcept {
    shards_[thread_index() % kShards].counts[static_cast<std::size_t>(which)].fetch_add(by,
                                                                                        std::memory_order_relaxed);
  }
  std::uint64_t sum(Count which) const noexcept {
    std::uint64_t total = 0;
    for (const Shard& shard : shards_)
      total += shard.counts[static_cast<std::size_t>(which)].load(std::memory_order_relaxed);
    return total;
  }

 private:
  static constexpr std::size_t kShards = 16;
  struct alignas(kCacheLine) Shard {
    std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Count::kCount)> counts{};
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace holdfast
