// Waiting for prefaulted arenas, without waiting for ever: where memory is short prefaulting ends early.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "holdfast/base/result.h"
#include "holdfast/numa/arena.h"

namespace holdfast::bench {

/// Is shown what the segments report, again and again.
class PrefaultWait {
 public:
  /// So long nothing may move.
  static constexpr std::chrono::seconds kPatience{2};

  /// True once all is prefaulted. Errors: full (prefaulting has ended before, or nothing has moved for
  /// kPatience), with the reason.
  Result<bool> look(std::span<const numa::SegmentReport> segments, std::chrono::steady_clock::time_point now);

 private:
  std::uint64_t most_ = 0;                            ///< bytes prefaulted at the last look
  std::chrono::steady_clock::time_point moved_at_{};  ///< zero: not looked yet
};

}  // namespace holdfast::bench
