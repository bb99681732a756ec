#include "src/admission.h"

#include <algorithm>
#include <chrono>

namespace holdfast {
namespace {

// How often the first looks for itself: nobody announces that a pin has gone. The others are told.
constexpr Duration kLookInterval = std::chrono::milliseconds(2);
constexpr Duration kLongestPause = std::chrono::seconds(1);

}  // namespace

Admission::Place::Place(Admission& line) : line_(line) {
  const std::lock_guard lock(line_.mutex_);
  line_.line_.push_back(this);
  line_.waiting_.store(line_.line_.size(), std::memory_order_relaxed);
}

Admission::Place::~Place() {
  {
    const std::lock_guard lock(line_.mutex_);
    std::erase(line_.line_, this);
    line_.waiting_.store(line_.line_.size(), std::memory_order_relaxed);
  }
  line_.changed_.notify_all();  // the next may be the first now
}

bool Admission::Place::is_first() const {
  const std::lock_guard lock(line_.mutex_);
  return line_.line_.front() == this;
}

void Admission::Place::pause(const Clock& clock, Deadline deadline) {
  std::unique_lock lock(line_.mutex_);
  const Duration longest = line_.line_.front() == this ? kLookInterval : kLongestPause;
  line_.changed_.wait_for(lock, std::min(deadline.left(clock), longest));
}

}  // namespace holdfast
