#include "src/s3_fifo.h"

#include <algorithm>

#include "holdfast/base/check.h"

namespace holdfast {

S3Fifo::S3Fifo(std::uint64_t capacity_bytes)
    : most_ghosts_(std::clamp<std::uint64_t>(capacity_bytes / kBytesAGhost, kLeastGhosts, kMostGhosts)),
      most_ghost_bytes_(capacity_bytes - capacity_bytes / kSmallPart) {}

void S3Fifo::insert(std::uint64_t key, std::uint64_t bytes) {
  EvictionSlab::Place place = slab_.find(key);
  if (place == EvictionSlab::kNone) {
    append(kSmall, slab_.add(key, bytes));
    return;
  }
  const std::uint8_t ghost = slab_[place].queue;
  HOLDFAST_CHECK(ghost >= kGhosts, "an object was put into an eviction set twice");
  take(place);
  slab_[place].bytes = bytes;
  append(ghost == kGhosts ? kMain : kSmall, place);
}

void S3Fifo::hit(std::uint64_t key) noexcept {
  const EvictionSlab::Place place = slab_.find(key);
  if (place == EvictionSlab::kNone) return;
  EvictionSlab::Node& node = slab_[place];
  if (node.queue < kGhosts && node.frequency < kMostFrequency) ++node.frequency;
}

bool S3Fifo::erase(std::uint64_t key) noexcept {
  const EvictionSlab::Place place = slab_.find(key);
  if (place == EvictionSlab::kNone) return false;
  const bool was_in_the_set = slab_[place].queue < kGhosts;
  take(place);
  slab_.remove(place);
  return was_in_the_set;
}

void S3Fifo::set_aside(std::uint64_t key) noexcept {
  const EvictionSlab::Place place = slab_.find(key);
  if (place == EvictionSlab::kNone || slab_[place].queue >= kGhosts) return;
  hit(key);
  const bool from_small = slab_[place].queue == kSmall;
  take(place);
  remember(place, from_small ? kSmall : kMain);
}

std::optional<std::uint64_t> S3Fifo::evict() noexcept {
  for (int passed_over = 0;; ++passed_over) {
    const bool from_small = main_.count == 0 || small_.bytes > bytes() / kSmallPart;
    const EvictionSlab::Place place = from_small ? small_.oldest : main_.oldest;
    if (place == EvictionSlab::kNone) return std::nullopt;
    take(place);
    EvictionSlab::Node& node = slab_[place];
    const std::uint8_t to_stay = from_small ? kLeastToStay : 1;
    if (node.frequency >= to_stay && passed_over < kMostPassedOver) {
      node.frequency = from_small ? 0 : static_cast<std::uint8_t>(node.frequency - 1);
      append(kMain, place);
      continue;
    }
    const std::uint64_t key = node.key;
    node.frequency = 0;
    if (from_small)
      remember(place, kMain);
    else
      slab_.remove(place);
    return key;
  }
}

EvictionQueue& S3Fifo::queue_of(EvictionSlab::Place place) noexcept {
  switch (slab_[place].queue) {
    case kSmall:
      return small_;
    case kMain:
      return main_;
    default:
      return ghosts_;
  }
}

void S3Fifo::append(QueueName queue, EvictionSlab::Place place) noexcept {
  slab_[place].queue = queue;
  slab_.append(queue_of(place), place);
}

void S3Fifo::remember(EvictionSlab::Place place, QueueName came_from) noexcept {
  append(came_from == kMain ? kGhosts : kGhostsOfSmall, place);
  while (ghosts_.count > most_ghosts_ || ghosts_.bytes > most_ghost_bytes_) {
    const EvictionSlab::Place oldest = ghosts_.oldest;
    take(oldest);
    slab_.remove(oldest);
  }
}

}  // namespace holdfast
