// The deadlines of operations under way, nearest first. A binary heap whose elements know their place, so
// that the usual end of an operation, long before its deadline, takes it out again.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "holdfast/base/check.h"
#include "holdfast/base/clock.h"

namespace holdfast::fabric::ofi {

/// `T` has members `Deadline deadline` and `std::size_t heap_place` (kNotInHeap where it is in none).
inline constexpr std::size_t kNotInHeap = static_cast<std::size_t>(-1);

/// Does not own its elements.
template <class T>
class DeadlineHeap {
 public:
  bool empty() const noexcept { return elements_.empty(); }
  T& nearest() const noexcept { return *elements_.front(); }

  void add(T& element) {
    HOLDFAST_CHECK(element.heap_place == kNotInHeap, "an operation has one deadline");
    elements_.push_back(&element);
    element.heap_place = elements_.size() - 1;
    rise(element.heap_place);
  }

  /// Nothing happens to an element that is not in the heap.
  void remove(T& element) noexcept {
    const std::size_t place = element.heap_place;
    if (place == kNotInHeap) return;
    T* last = elements_.back();
    elements_.pop_back();
    element.heap_place = kNotInHeap;
    if (last == &element) return;
    elements_[place] = last;
    last->heap_place = place;
    rise(place);
    sink(last->heap_place);
  }

 private:
  bool before(std::size_t a, std::size_t b) const noexcept {
    return elements_[a]->deadline < elements_[b]->deadline;
  }
  void swap_places(std::size_t a, std::size_t b) noexcept {
    std::swap(elements_[a], elements_[b]);
    elements_[a]->heap_place = a;
    elements_[b]->heap_place = b;
  }
  void rise(std::size_t place) noexcept {
    while (place > 0 && before(place, (place - 1) / 2)) {
      swap_places(place, (place - 1) / 2);
      place = (place - 1) / 2;
    }
  }
  void sink(std::size_t place) noexcept {
    for (;;) {
      std::size_t least = place;
      for (const std::size_t child : {2 * place + 1, 2 * place + 2})
        if (child < elements_.size() && before(child, least)) least = child;
      if (least == place) return;
      swap_places(place, least);
      place = least;
    }
  }

  std::vector<T*> elements_;
};

}  // namespace holdfast::fabric::ofi
