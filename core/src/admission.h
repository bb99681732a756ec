// Puts that wait for room, in the order in which they came.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "holdfast/base/clock.h"

namespace holdfast {

/// Any thread.
class Admission {
 public:
  /// Somebody waits: who comes now stands behind.
  bool crowded() const noexcept { return waiting() != 0; }

  std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }

  /// Calls `attempt()` until it gives true, for the first in the line only: when room may have come, and from
  /// time to time, since pins go unannounced. False once the deadline has passed; it is tried at least once
  /// for who has reached the head.
  template <class Attempt>
  bool wait(const Clock& clock, Deadline deadline, Attempt&& attempt) {
    Place place(*this);
    for (;;) {
      if (place.is_first() && attempt()) return true;
      if (deadline.passed(clock)) return false;
      place.pause(clock, deadline);
    }
  }

  /// Room may have come.
  void notify() noexcept {
    if (crowded()) changed_.notify_all();
  }

 private:
  /// A place in the line, left at the end of the scope.
  class Place {
   public:
    explicit Place(Admission& line);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    bool is_first() const;
    void pause(const Clock& clock, Deadline deadline);

   private:
    Admission& line_;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<const Place*> line_;
  std::atomic<std::size_t> waiting_{0};
};

}  // namespace holdfast
