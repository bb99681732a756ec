// Gets by one-sided reads: what is read proves itself, so nobody is asked and nothing is pinned. Protocols
// are coroutines on a channel; all parameters that outlive the first suspension are passed by value, but for
// the job and the channel.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/base/task.h"
#include "holdfast/pin.h"
#include "src/channel.h"
#include "src/get_local.h"
#include "src/job.h"

namespace holdfast {

/// What a member's catalogue says of a key: one read of the key's bucket (two where the entry had to be put
/// further away). Errors: corrupt, and those of a fabric read.
Task<Result<std::optional<Entry>>> look_up(Job& job, Channel& channel, MemberId member, Key key,
                                           Deadline deadline);

/// The payload, or a part of it, in memory that `hold` keeps, or in the caller's.
struct Landed {
  std::span<const std::byte> payload;
  std::shared_ptr<void> hold;
};

/// What a read of a block brought.
struct BlockRead {
  enum class Found : std::uint8_t {
    good,
    other,    ///< the object does not lie there (any more)
    damaged,  ///< it does, but a checksum does not fit: torn, or altered
  };
  Found found = Found::other;
  Landed landed;
  /// The header, where it is not the object's and was not spoiled, as it is when an object leaves its place.
  std::optional<std::uint64_t> strange;
};

/// Whether what was read at one place has been the same bad bytes each time, and for so long that nobody is
/// changing it: not even an owner that lost its core meanwhile. For gets that end before a get that has more
/// time would give up.
class StandsStill {
 public:
  static constexpr int kAtLeast = 3;
  static constexpr Duration kForLong = std::chrono::milliseconds(100);

  void saw(std::uint64_t bytes, TimePoint now) noexcept {
    if (times_ == 0 || bytes != bytes_) {
      bytes_ = bytes;
      since_ = now;
      times_ = 0;
    }
    ++times_;
    last_ = now;
  }
  void saw_another() noexcept { times_ = 0; }
  bool is_sure() const noexcept { return times_ >= kAtLeast && last_ - since_ >= kForLong; }

 private:
  std::uint64_t bytes_ = 0;
  TimePoint since_{}, last_{};
  int times_ = 0;
};

/// Reads an object from where its entry says it lies, in pieces, several in flight, each checked as it lands.
/// With `into` (exactly as long as what is wanted) the payload is copied there, else it stays where it
/// landed. Errors: full (no room to land), invalid (range), and those of a fabric read.
Task<Result<BlockRead>> read_block(Job& job, Channel& channel, Entry entry, Want want,
                                   std::span<std::byte> into, Deadline deadline);

/// Room in this process's arena for what is read. Where there is none now, but objects can be moved to disk,
/// waits for it. Errors: full, invalid.
Task<Result<Block>> landing_block(Job& job, Channel& channel, std::uint64_t bytes, std::uint64_t alignment,
                                  Deadline deadline);

/// The key of the region that `offset` of a member's arena lies in: known, or asked for once.
Task<Result<RegionKey>> region_of(Job& job, Channel& channel, MemberId member, std::uint64_t offset,
                                  Deadline deadline);

}  // namespace holdfast
