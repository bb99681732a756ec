// The eviction policies once more, by searching plain containers: what the real ones must agree with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "src/eviction.h"
#include "src/s3_fifo.h"

namespace holdfast::test {

struct ModelObject {
  std::uint64_t key = 0;
  std::uint64_t bytes = 0;
  int frequency = 0;
  bool set_aside_from_small = false;
};

/// Oldest first.
class ModelQueue : public std::deque<ModelObject> {
 public:
  iterator find(std::uint64_t key) {
    return std::find_if(begin(), end(), [&](const ModelObject& object) { return object.key == key; });
  }
  std::optional<ModelObject> take(std::uint64_t key) {
    const auto found = find(key);
    if (found == end()) return std::nullopt;
    const ModelObject object = *found;
    erase(found);
    return object;
  }
  ModelObject take_oldest() {
    const ModelObject object = front();
    pop_front();
    return object;
  }
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const ModelObject& object : *this) sum += object.bytes;
    return sum;
  }
};

class LruModel final : public EvictionPolicy {
 public:
  void insert(std::uint64_t key, std::uint64_t bytes) override { queue_.push_back({key, bytes}); }
  void hit(std::uint64_t key) noexcept override {
    if (const auto object = queue_.take(key)) queue_.push_back(*object);
  }
  bool erase(std::uint64_t key) noexcept override { return queue_.take(key).has_value(); }
  void set_aside(std::uint64_t key) noexcept override { queue_.take(key); }
  std::optional<std::uint64_t> evict() noexcept override {
    if (queue_.empty()) return std::nullopt;
    return queue_.take_oldest().key;
  }
  std::size_t size() const noexcept override { return queue_.size(); }
  std::uint64_t bytes() const noexcept override { return queue_.bytes(); }

 private:
  ModelQueue queue_;
};

/// For fewer objects than are passed over in one eviction.
class S3FifoModel final : public EvictionPolicy {
 public:
  explicit S3FifoModel(std::uint64_t capacity) : capacity_(capacity) {}

  void insert(std::uint64_t key, std::uint64_t bytes) override {
    const auto ghost = ghosts_.take(key);
    const bool to_main = ghost && !ghost->set_aside_from_small;
    (to_main ? main_ : small_).push_back({key, bytes, ghost ? ghost->frequency : 0});
  }
  void set_aside(std::uint64_t key) noexcept override {
    hit(key);
    for (ModelQueue* const queue : {&small_, &main_})
      if (auto object = queue->take(key)) {
        object->set_aside_from_small = queue == &small_;
        remember(*object);
      }
  }
  void hit(std::uint64_t key) noexcept override {
    for (ModelQueue* const queue : {&small_, &main_})
      if (const auto found = queue->find(key); found != queue->end())
        found->frequency = std::min(found->frequency + 1, 3);
  }
  bool erase(std::uint64_t key) noexcept override {
    ghosts_.take(key);
    return small_.take(key) || main_.take(key);
  }
  std::optional<std::uint64_t> evict() noexcept override {
    while (size() > 0) {
      if (main_.empty() || small_.bytes() > bytes() / 10) {
        ModelObject object = small_.take_oldest();
        if (object.frequency < 2) {
          object.frequency = 0;
          remember(object);
          return object.key;
        }
        main_.push_back({object.key, object.bytes, 0});
      } else {
        const ModelObject object = main_.take_oldest();
        if (object.frequency == 0) return object.key;
        main_.push_back({object.key, object.bytes, object.frequency - 1});
      }
    }
    return std::nullopt;
  }
  std::size_t size() const noexcept override { return small_.size() + main_.size(); }
  std::uint64_t bytes() const noexcept override { return small_.bytes() + main_.bytes(); }

 private:
  void remember(const ModelObject& object) {
    ghosts_.push_back(object);
    const std::uint64_t most_keys = std::max<std::uint64_t>(capacity_ / 4096, 1024);
    while (ghosts_.size() > most_keys || ghosts_.bytes() > capacity_ - capacity_ / 10) ghosts_.pop_front();
  }

  std::uint64_t capacity_;
  ModelQueue small_, main_, ghosts_;
};

}  // namespace holdfast::test
