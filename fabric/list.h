// A doubly linked list through its elements: adding and taking out, from anywhere, without allocating.
#pragma once

#include "holdfast/base/check.h"

namespace holdfast::fabric {

/// What an element carries; it is in at most one list at a time.
template <class T>
struct Links {
  T* previous = nullptr;
  T* next = nullptr;
  bool listed = false;
};

/// Does not own its elements. `T` has a member `links` of type Links<T>; one that is in several lists at a
/// time has further ones, named by `kLinks`.
template <class T, Links<T> T::*kLinks = &T::links>
class List {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  T* first() const noexcept { return first_; }

  void push_back(T& element) noexcept {
    HOLDFAST_CHECK(!(element.*kLinks).listed, "an element is in one list at a time");
    element.*kLinks = {last_, nullptr, true};
    (last_ != nullptr ? (last_->*kLinks).next : first_) = &element;
    last_ = &element;
  }

  void remove(T& element) noexcept {
    Links<T>& links = element.*kLinks;
    HOLDFAST_CHECK(links.listed, "only what is in the list can be taken out");
    (links.previous != nullptr ? (links.previous->*kLinks).next : first_) = links.next;
    (links.next != nullptr ? (links.next->*kLinks).previous : last_) = links.previous;
    links = {};
  }

  T* pop_front() noexcept {
    T* element = first_;
    if (element != nullptr) remove(*element);
    return element;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace holdfast::fabric
