// Time comes in through Clock, so that tests and the simulator can put their own in.
#pragma once

#include <atomic>
#include <chrono>

namespace holdfast {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

/// Monotonic time. Every implementation may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const noexcept = 0;
};

/// The machine's monotonic clock.
class RealClock final : public Clock {
 public:
  TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
};

/// The one RealClock that production code shares; it has no state.
const Clock& real_clock() noexcept;

/// Stands still until it is told to move.
class ManualClock final : public Clock {
 public:
  TimePoint now() const noexcept override {
    return TimePoint(Duration(now_.load(std::memory_order_relaxed)));
  }
  void advance(Duration by) noexcept { now_.fetch_add(by.count(), std::memory_order_relaxed); }

 private:
  std::atomic<Duration::rep> now_{1};
};

/// When an operation has to end. A value; made once from a duration and passed down unchanged.
class Deadline {
 public:
  static constexpr Deadline never() noexcept { return Deadline(TimePoint::max()); }
  static constexpr Deadline at(TimePoint when) noexcept { return Deadline(when); }
  /// `timeout` from now; a negative one counts as zero, one too long to represent as never.
  static Deadline after(const Clock& clock, Duration timeout) noexcept {
    const TimePoint now = clock.now();
    if (timeout <= Duration::zero()) return Deadline(now);
    if (timeout >= TimePoint::max() - now) return never();
    return Deadline(now + timeout);
  }

  constexpr TimePoint time() const noexcept { return when_; }
  constexpr bool is_never() const noexcept { return when_ == TimePoint::max(); }
  bool passed(const Clock& clock) const noexcept { return !is_never() && clock.now() >= when_; }
  /// What is left, never negative; Duration::max() for never().
  Duration left(const Clock& clock) const noexcept {
    if (is_never()) return Duration::max();
    const TimePoint now = clock.now();
    return now >= when_ ? Duration::zero() : when_ - now;
  }
  friend constexpr auto operator<=>(const Deadline&, const Deadline&) = default;

 private:
  explicit constexpr Deadline(TimePoint when) noexcept : when_(when) {}
  TimePoint when_;
};

}  // namespace holdfast
