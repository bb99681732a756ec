#include "src/thread_index.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <vector>

namespace holdfast {
namespace {

class ThreadIndices {
 public:
  std::uint32_t take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      free_.reserve(taken_ + 1);  // so that giving back cannot fail
      return taken_++;
    }
    std::ranges::pop_heap(free_, std::greater{});
    const std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }

  void give_back(std::uint32_t index) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(index);
    std::ranges::push_heap(free_, std::greater{});
  }

 private:
  std::mutex mutex_;
  std::vector<std::uint32_t> free_;  ///< a heap, the smallest first
  std::uint32_t taken_ = 0;          ///< all numbers below were taken once
};

/// Never destroyed: threads may end after main.
ThreadIndices& indices() {
  static auto* const instance = new ThreadIndices;
  return *instance;
}

/// This thread's number until it ends.
struct Held {
  const std::uint32_t index = indices().take();

  Held() = default;
  ~Held() {
    // Destructors that are still to come in this thread must not count as the next one.
    detail::this_thread_index = kEndingThread;
    indices().give_back(index);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
};

}  // namespace

std::uint32_t detail::take_thread_index() noexcept {
  thread_local const Held held;
  this_thread_index = held.index;
  return held.index;
}

}  // namespace holdfast
