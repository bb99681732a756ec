// A store of objects that are used again and never move.
#pragma once

#include <deque>
#include <vector>

namespace holdfast::fabric {

/// Objects that keep their place and are used again; grows by need, never shrinks while the endpoint lives.
template <class T>
class Pool {
 public:
  T& take() {
    if (free_.empty()) return all_.emplace_back();
    T& object = *free_.back();
    free_.pop_back();
    return object;
  }
  void give_back(T& object) { free_.push_back(&object); }
  /// A new object that nobody has taken yet.
  T& add() {
    T& object = all_.emplace_back();
    free_.push_back(&object);
    return object;
  }
  std::deque<T>& all() noexcept { return all_; }

 private:
  std::deque<T> all_;  // a deque: elements never move
  std::vector<T*> free_;
};

}  // namespace holdfast::fabric
