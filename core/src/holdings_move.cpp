// Where enough memory is free, but not in one piece: moves blocks out of the way.
//
// The block is copied, the entry then points to the copy, the old header is spoiled, and the old block is
// freed or, where it is pinned, waits for that: what a pin shows stays as it is. Readers who remember the old
// place find the new one in the catalogue.
#include <algorithm>

#include "holdfast/base/check.h"
#include "src/block.h"
#include "src/holdings.h"

namespace holdfast {
namespace {

// What may be moved for a hole, as a multiple of it: the copying is paid by the one put that waits for it.
constexpr std::uint64_t kMostMoved = 2;

}  // namespace

/// A piece of a segment that is free, or can be.
struct Holdings::Movable {
  std::uint64_t offset = 0;  ///< in the segment
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> slot;  ///< whose block it is; nothing: a hole
  numa::Extent hole;
  std::uint64_t end() const noexcept { return offset + bytes; }
};

bool Holdings::make_hole(std::uint64_t bytes, std::uint64_t alignment) {
  const std::uint64_t needed =
      align_up(bytes, numa::Allocator::kGranule) + alignment - numa::Allocator::kGranule;
  std::uint64_t free = 0;
  for (std::size_t segment = 0; segment < memory_->arena().segments().size(); ++segment) {
    const numa::AllocatorStats stats = memory_->allocator_stats(segment);
    free += stats.bytes_total - stats.bytes_used;
  }
  // Nothing has changed since it was tried in vain.
  if (free < needed || (no_hole_.free == free && needed >= no_hole_.bytes)) return false;
  for (std::size_t segment = 0; segment < memory_->arena().segments().size(); ++segment)
    if (make_hole_in(segment, needed)) return true;
  no_hole_ = {needed, free};
  return false;
}

/// Holes, and blocks of objects that nobody pins, in the order of their places.
std::vector<Holdings::Movable> Holdings::movable_in(std::size_t segment) const {
  std::vector<Movable> all;
  for (const numa::Extent& hole : memory_->allocator(segment).holes())
    all.push_back({hole.offset, hole.bytes, std::nullopt, hole});
  const std::vector<std::uint64_t> pinned = neighbours_.pinned_locations(rank_);
  const std::uint64_t first = memory_->arena().segments()[segment].first;
  const std::uint64_t slots = catalogue_.geometry().slots();
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    const Record& record = records_[slot];
    if (record.extent.bytes == 0 || record.segment != segment || record.place != Record::Place::memory)
      continue;
    if (std::ranges::binary_search(pinned, first + record.extent.offset)) continue;
    all.push_back({record.extent.offset, record.extent.bytes, slot, {}});
  }
  std::ranges::sort(all, {}, &Movable::offset);
  return all;
}

/// Empties the stretch of a segment that holds `bytes` and in which the least has to be moved.
bool Holdings::make_hole_in(std::size_t segment, std::uint64_t bytes) {
  std::vector<Movable> all = movable_in(segment);
  std::size_t best_first = 0, best_last = 0;
  std::uint64_t best_cost = bytes * kMostMoved + 1;
  std::uint64_t length = 0, cost = 0;
  for (std::size_t first = 0, last = 0; last < all.size(); ++last) {
    if (last > first && all[last - 1].end() != all[last].offset) {
      first = last;
      length = cost = 0;
    }
    length += all[last].bytes;
    if (all[last].slot) cost += all[last].bytes;
    while (length - all[first].bytes >= bytes) {
      length -= all[first].bytes;
      if (all[first].slot) cost -= all[first].bytes;
      ++first;
    }
    if (length >= bytes && cost < best_cost) {
      best_first = first;
      best_last = last + 1;
      best_cost = cost;
    }
  }
  if (best_last == 0) return false;
  // What is free there is taken, and what is moved away freed last, so that nothing is moved into it.
  std::vector<numa::Extent> claimed;
  std::vector<Block> left;
  bool cleared = true;
  for (std::size_t i = best_first; i < best_last && cleared; ++i) {
    if (all[i].slot) continue;
    cleared = memory_->allocator(segment).claim(all[i].hole);
    if (cleared) claimed.push_back(all[i].hole);
  }
  for (std::size_t i = best_first; i < best_last && cleared; ++i) {
    if (!all[i].slot) continue;
    const auto old = relocate(*all[i].slot);
    if (old) left.push_back(*old);
    cleared = old.has_value();
  }
  for (const Block& block : left) cleared = free_or_await_unpin(block) && cleared;
  for (const numa::Extent& hole : claimed) memory_->allocator(segment).free(hole);
  return cleared;
}

/// Where the object lay, which is to be freed; nothing if it stays there.
std::optional<Block> Holdings::relocate(std::uint64_t slot) {
  const Entry entry = catalogue_.read(slot);
  Record& record = records_[slot];
  const Block from = block_of(entry, record);
  const numa::NodeId node = memory_->arena().segments()[record.segment].node;
  const auto to = memory_->allocate(entry.layout.block_bytes(), entry.layout.alignment(), node);
  if (!to) return std::nullopt;
  spoil_header(to->address);
  const auto source = spilled_part(from.address, entry.layout);
  std::ranges::copy(source, spilled_part(to->address, entry.layout).begin());
  write_header(to->address, {entry.id, incarnation_, entry.layout}, new_generation());

  const Record::Queue queue = record.queue;
  enqueue(entry.id, record, Record::Queue::none);
  count_in(record, false);
  record.extent = to->extent;
  record.segment = to->segment;
  count_in(record, true);
  catalogue_.move(slot, to->location);
  enqueue(entry.id, record, queue);
  counts_.memory_bytes += to->extent.bytes;
  counts_.memory_bytes -= from.extent.bytes;
  counts_.moved += 1;
  counts_.moved_bytes += entry.layout.block_bytes();
  spoil_header(from.address);
  return from;
}

}  // namespace holdfast
