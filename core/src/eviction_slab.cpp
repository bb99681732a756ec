#include "src/eviction_slab.h"

#include "holdfast/base/check.h"
#include "holdfast/base/random.h"

namespace holdfast {
namespace {

constexpr std::size_t kFirstCells = 16;

}  // namespace

EvictionSlab::EvictionSlab() : cells_(kFirstCells), mask_(kFirstCells - 1) {}

std::uint32_t EvictionSlab::hash(std::uint64_t key) noexcept {
  return static_cast<std::uint32_t>(mix64(key));
}

EvictionSlab::Place EvictionSlab::find(std::uint64_t key) const noexcept {
  const std::uint32_t hashed = hash(key);
  for (std::size_t at = hashed & mask_; cells_[at].place != kNone; at = (at + 1) & mask_)
    if (cells_[at].hash == hashed && nodes_[cells_[at].place].key == key) return cells_[at].place;
  return kNone;
}

EvictionSlab::Place EvictionSlab::add(std::uint64_t key, std::uint64_t bytes) {
  if (used_ + 1 > cells_.size() / 4 * 3) grow();
  Place place = free_;
  if (place != kNone) {
    free_ = nodes_[place].older;
  } else {
    HOLDFAST_CHECK(nodes_.size() < kNone, "more objects in one arena than 32 bits count");
    place = static_cast<Place>(nodes_.size());
    nodes_.emplace_back();
  }
  nodes_[place] = Node{.key = key, .bytes = bytes};
  put({hash(key), place});
  ++used_;
  return place;
}

void EvictionSlab::remove(Place place) noexcept {
  std::size_t hole = hash(nodes_[place].key) & mask_;
  while (cells_[hole].place != place) hole = (hole + 1) & mask_;
  // Cells behind the hole move up unless that would put them before where their search begins.
  for (std::size_t at = (hole + 1) & mask_; cells_[at].place != kNone; at = (at + 1) & mask_) {
    const std::size_t from_begin = (at - cells_[at].hash) & mask_;
    if (from_begin < ((at - hole) & mask_)) continue;
    cells_[hole] = cells_[at];
    hole = at;
  }
  cells_[hole] = Cell{};
  --used_;
  nodes_[place].older = free_;
  free_ = place;
}

void EvictionSlab::append(EvictionQueue& queue, Place place) noexcept {
  Node& node = nodes_[place];
  node.newer = kNone;
  node.older = queue.newest;
  (queue.newest == kNone ? queue.oldest : nodes_[queue.newest].newer) = place;
  queue.newest = place;
  ++queue.count;
  queue.bytes += node.bytes;
}

void EvictionSlab::take(EvictionQueue& queue, Place place) noexcept {
  const Node& node = nodes_[place];
  (node.newer == kNone ? queue.newest : nodes_[node.newer].older) = node.older;
  (node.older == kNone ? queue.oldest : nodes_[node.older].newer) = node.newer;
  --queue.count;
  queue.bytes -= node.bytes;
}

void EvictionSlab::put(Cell cell) noexcept {
  std::size_t at = cell.hash & mask_;
  while (cells_[at].place != kNone) at = (at + 1) & mask_;
  cells_[at] = cell;
}

void EvictionSlab::grow() {
  std::vector<Cell> former(cells_.size() * 2);
  former.swap(cells_);
  mask_ = cells_.size() - 1;
  for (const Cell& cell : former)
    if (cell.place != kNone) put(cell);
}

}  // namespace holdfast
