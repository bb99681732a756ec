// Resumes coroutines one after the other, never one inside another: what a chain of a thousand would do to
// the stack.
#pragma once

#include <coroutine>
#include <deque>

namespace holdfast {

class Ready {
 public:
  /// Resumes `waiting` before this returns; where something is being resumed already, after that.
  void add(std::coroutine_handle<> waiting) {
    waiting_.push_back(waiting);
    if (running_) return;
    running_ = true;
    while (!waiting_.empty()) {
      const std::coroutine_handle<> next = waiting_.front();
      waiting_.pop_front();
      next.resume();
    }
    running_ = false;
  }

 private:
  std::deque<std::coroutine_handle<>> waiting_;
  bool running_ = false;
};

}  // namespace holdfast
