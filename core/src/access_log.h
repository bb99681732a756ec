// Which objects this process gets, for their owners, who write the coldest to disk: a sample, kept here and
// reported in batches. Noting one costs a get a few instructions.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "holdfast/base/units.h"
#include "holdfast/object_id.h"
#include "src/thread_index.h"

namespace holdfast {

/// Off until enable(). Any thread notes; one takes.
class AccessLog {
 public:
  /// `wake` is called for the first get that is noted after take(). Reset with nullptr before it goes, while
  /// no gets are made.
  void enable(std::function<void()> wake);

  void note(const ObjectId& id, MemberId owner) noexcept {
    if (!enabled_.load(std::memory_order_relaxed)) return;
    Shard& shard = shards_[thread_index() % kShards];
    // Threads that share a shard may lose a count; it is a sample.
    const std::uint32_t count = shard.count.load(std::memory_order_relaxed) + 1;
    shard.count.store(count, std::memory_order_relaxed);
    // Not "equal": a count that was lost must not make the next sample wait until it has gone round.
    if (static_cast<std::int32_t>(count - shard.next.load(std::memory_order_relaxed)) >= 0)
      sample(shard, id, owner);
  }

  /// The low halves of the ids of objects that were got since the last call, each once, by owner.
  std::map<MemberId, std::vector<std::uint64_t>> take();

 private:
  static constexpr std::uint32_t kLongestStep = 16;  ///< so one in eight or nine
  static constexpr std::size_t kShards = 64;
  static constexpr std::size_t kKept = 64;  ///< the latest samples of a shard
  static constexpr unsigned kOwnerShift = 40;
  struct alignas(kCacheLine) Shard {
    std::atomic<std::uint32_t> count{0};
    /// The get to note: at distances drawn by chance, or loops would have favourites.
    std::atomic<std::uint32_t> next{1};
    std::atomic<std::uint32_t> noted{0};
    std::array<std::atomic<std::uint64_t>, kKept> samples{};  ///< owner + 1 and the id's low half; 0: none
  };
  void sample(Shard& shard, const ObjectId& id, MemberId owner) noexcept;

  std::array<Shard, kShards> shards_;
  std::atomic<bool> enabled_{false};
  std::atomic<bool> some_{false};
  std::function<void()> wake_;
};

}  // namespace holdfast
