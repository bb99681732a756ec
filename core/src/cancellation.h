// Calling off what waits. Single-threaded: request() is called where the waiting protocols run.
#pragma once

#include <algorithm>
#include <vector>

#include "holdfast/base/check.h"

namespace holdfast {

class Cancellation {
 public:
  /// Something that waits and goes on early when called off.
  class Waiter {
   public:
    virtual void called_off() = 0;

   protected:
    ~Waiter() = default;
  };

  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  bool requested() const noexcept { return requested_; }

  /// Wakes all that wait. Who would begin to wait looks first whether it was requested.
  void request() {
    requested_ = true;
    while (!waiters_.empty()) {
      Waiter* const waiter = waiters_.back();
      waiters_.pop_back();
      waiter->called_off();
    }
  }

  /// Not when it has been requested: the waiter would never be called.
  void add(Waiter& waiter) {
    HOLDFAST_CHECK(!requested_, "a wait began after it was called off");
    waiters_.push_back(&waiter);
  }
  void remove(Waiter& waiter) noexcept { std::erase(waiters_, &waiter); }

 private:
  std::vector<Waiter*> waiters_;
  bool requested_ = false;
};

/// Whether a protocol may wait for what is not there yet, and who may call that off.
struct Waiting {
  bool allowed = false;
  Cancellation* cancellation = nullptr;  ///< outlives the protocol

  bool called_off() const noexcept { return cancellation != nullptr && cancellation->requested(); }
};

}  // namespace holdfast
