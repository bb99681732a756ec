// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023), by bytes. What is new
// waits in a small queue; who was used twice or more at its end goes on to the main one, the rest is evicted
// and only its key remembered. Whoever comes back while remembered goes to the main queue at once. There,
// each use (up to three) is worth one more round.
//
// Different from the paper: the small queue's share is 10 % of the bytes that are in the set, not of the
// capacity, since several sets share an arena and one may never fill it; and one eviction passes over a
// bounded number of objects. And who uses an object takes it out of the set meanwhile: it is remembered among
// those that were evicted, but with what is known of it, and comes back to its queue with one use more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "src/eviction.h"
#include "src/eviction_slab.h"

namespace holdfast {

class S3Fifo final : public EvictionPolicy {
 public:
  /// One use more is not told from these.
  static constexpr std::uint8_t kMostFrequency = 3;
  /// Used less often, an object leaves the small queue for good.
  static constexpr std::uint8_t kLeastToStay = 2;
  /// The small queue's part of all bytes: 1 in ...
  static constexpr std::uint64_t kSmallPart = 10;
  /// So many are passed over in one eviction, then the next goes however often it was used: a full set of
  /// objects that are all hot would otherwise be gone round three times under the owner's lock.
  static constexpr int kMostPassedOver = 4096;
  /// One key is remembered for so much capacity, which keeps what they take near 1 % of it...
  static constexpr std::uint64_t kBytesAGhost = 4096;
  /// ... but a few in any case, and never more than some 200 MiB of them.
  static constexpr std::size_t kLeastGhosts = 1024;
  static constexpr std::size_t kMostGhosts = std::size_t{1} << 22;

  explicit S3Fifo(std::uint64_t capacity_bytes);

  void insert(std::uint64_t key, std::uint64_t bytes) override;
  void hit(std::uint64_t key) noexcept override;
  bool erase(std::uint64_t key) noexcept override;
  void set_aside(std::uint64_t key) noexcept override;
  std::optional<std::uint64_t> evict() noexcept override;
  std::size_t size() const noexcept override { return small_.count + main_.count; }
  std::uint64_t bytes() const noexcept override { return small_.bytes + main_.bytes; }

  /// Keys remembered of objects that were evicted or set aside: no more than most_ghosts(), and of no more
  /// bytes than the main queue's part of the capacity.
  std::size_t ghosts() const noexcept { return ghosts_.count; }
  std::uint64_t ghost_bytes() const noexcept { return ghosts_.bytes; }
  std::size_t most_ghosts() const noexcept { return most_ghosts_; }
  std::uint64_t most_ghost_bytes() const noexcept { return most_ghost_bytes_; }

 private:
  /// The last two are one queue: of those remembered, which come back to the main and the small one.
  enum QueueName : std::uint8_t { kSmall, kMain, kGhosts, kGhostsOfSmall };

  EvictionQueue& queue_of(EvictionSlab::Place place) noexcept;
  void append(QueueName queue, EvictionSlab::Place place) noexcept;
  void take(EvictionSlab::Place place) noexcept { slab_.take(queue_of(place), place); }
  /// `came_from`: to where it is to come back; kMain for what is evicted.
  void remember(EvictionSlab::Place place, QueueName came_from) noexcept;

  EvictionSlab slab_;
  EvictionQueue small_;
  EvictionQueue main_;
  EvictionQueue ghosts_;
  std::size_t most_ghosts_;
  std::uint64_t most_ghost_bytes_;
};

}  // namespace holdfast
