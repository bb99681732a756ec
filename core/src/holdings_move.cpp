// Where enough memory is free, but not in one piece: moves blocks down, so that the holes between them join.
//
// A block that is moved is hidden from readers first, as one that leaves for the disk: the entry says so, the
// header is spoiled, and if it is pinned it stays. Who looks for it meanwhile asks the owner, and waits for
// the lock. It gets a new generation, so that who remembers the old place finds the new one.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "holdfast/base/units.h"
#include "src/block.h"
#include "src/holdings.h"

namespace holdfast {
namespace {

// What may be moved for a hole, as a multiple of it: the copying is paid by the one put that waits for it.
constexpr std::uint64_t kMostMoved = 4;
// After so much the lock is let go for a moment.
constexpr std::uint64_t kMostAtOnce = 64_MiB;
// Pins may divide what is free, and come while it is joined.
constexpr int kMostStretches = 4;
// What could not be joined may be joined when pins have gone, of which nobody tells.
constexpr Duration kNotAgainFor = std::chrono::milliseconds(50);

}  // namespace

/// A piece of a segment that is free, or the block of an object that may be moved.
struct Holdings::Movable {
  std::uint64_t offset = 0;  ///< in the segment
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> slot;  ///< whose block it is; nothing: a hole
  std::uint64_t alignment = 0;        ///< of the block
  numa::Extent hole;
  std::uint64_t end() const noexcept { return offset + bytes; }
};

bool Holdings::make_hole(std::uint64_t bytes, std::uint64_t alignment, Lock& lock) {
  const std::uint64_t needed =
      align_up(bytes, numa::Allocator::kGranule) + alignment - numa::Allocator::kGranule;
  const std::size_t segments = memory_->arena().segments().size();
  const auto free_in = [this](std::size_t segment) {
    const numa::AllocatorStats stats = memory_->allocator_stats(segment);
    return stats.bytes_total - stats.bytes_used;
  };
  std::uint64_t most_free = 0;
  for (std::size_t segment = 0; segment < segments; ++segment)
    most_free = std::max(most_free, free_in(segment));
  if (most_free < needed) return false;
  if (needed >= no_hole_.bytes && most_free == no_hole_.free && clock_.now() < no_hole_.until) return false;
  const std::uint64_t moved_before = counts_.moved;
  for (std::size_t segment = 0; segment < segments; ++segment)
    for (int stretch = 0; stretch < kMostStretches && free_in(segment) >= needed; ++stretch)
      if (join_holes(segment, needed, lock)) return true;
  if (counts_.moved == moved_before) no_hole_ = {needed, most_free, clock_.now() + kNotAgainFor};
  return false;
}

/// Holes, and blocks of objects that nobody pins, in the order of their places.
std::vector<Holdings::Movable> Holdings::movable_in(std::size_t segment) const {
  std::vector<Movable> all;
  for (const numa::Extent& hole : memory_->allocator(segment).holes())
    all.push_back({hole.offset, hole.bytes, std::nullopt, 0, hole});
  const std::vector<std::uint64_t> pinned = neighbours_.pinned_locations(rank_);
  const std::uint64_t first = memory_->arena().segments()[segment].first;
  const std::uint64_t slots = catalogue_.geometry().slots();
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    const Record& record = records_[slot];
    if (record.bytes == 0 || record.segment != segment || record.place != Record::Place::memory) continue;
    if (std::ranges::binary_search(pinned, first + record.offset)) continue;
    all.push_back({record.offset, record.bytes, slot, 1ULL << record.alignment_log, {}});
  }
  std::ranges::sort(all, {}, &Movable::offset);
  return all;
}

/// Neighbouring pieces, the first of them a hole, that hold enough free memory, in as few bytes of blocks as
/// can be, and those that follow. Where pins divide what is free: those that hold the most, so that it lies
/// together when they go.
std::vector<Holdings::Movable> Holdings::best_stretch(std::size_t segment, std::uint64_t needed) const {
  const std::vector<Movable> all = movable_in(segment);
  const auto adjoin = [&all](std::size_t lower) {
    return lower + 1 < all.size() && all[lower].end() == all[lower + 1].offset;
  };
  // A hole that is there for the alignment of the block above it will be there again.
  const auto free_of = [&](std::size_t at) {
    if (all[at].slot) return std::uint64_t{0};
    return adjoin(at) && all[at].bytes < all[at + 1].alignment ? 0 : all[at].bytes;
  };
  const auto cost_of = [&](std::size_t at) { return all[at].slot ? all[at].bytes : 0; };
  struct Stretch {
    std::size_t first = 0, last = 0;
    std::uint64_t free = 0, cost = 0;
  };
  const std::uint64_t most_cost = needed * kMostMoved;
  Stretch enough{.cost = most_cost + 1}, most, here;
  for (; here.last < all.size(); ++here.last) {
    if (here.last > 0 && !adjoin(here.last - 1)) here = {here.last, here.last, 0, 0};
    here.free += free_of(here.last);
    here.cost += cost_of(here.last);
    for (; here.first < here.last; ++here.first) {
      const std::uint64_t free = free_of(here.first);
      if (free > 0 && here.free - free < needed && here.cost <= most_cost) break;
      here.free -= free;
      here.cost -= cost_of(here.first);
    }
    if (here.free >= needed && here.cost < enough.cost) enough = here;
    if (here.cost > 0 && free_of(here.last) > 0 && here.free > most.free) most = here;
  }
  Stretch best = enough.free > 0 ? enough : most;
  if (best.free == 0) return {};
  while (adjoin(best.last)) ++best.last;
  return {all.begin() + static_cast<std::ptrdiff_t>(best.first),
          all.begin() + static_cast<std::ptrdiff_t>(best.last) + 1};
}

/// A hole grows by what is free above it, changes places with the block that comes next, grows again, and so
/// on: at all times it is one extent, handed out, and blocks and books agree. Where a block does not move, it
/// is left behind, and the next hole goes on.
bool Holdings::join_holes(std::size_t segment, std::uint64_t needed, Lock& lock) {
  numa::Allocator& allocator = memory_->allocator(segment);
  std::optional<numa::Extent> space;
  std::uint64_t moved = 0, at_once = 0;
  for (const Movable& piece : best_stretch(segment, needed)) {
    if (space) space = allocator.grow(*space);
    if (space && space->bytes >= needed) break;
    if (!piece.slot) {
      if (!space && allocator.claim(piece.hole)) space = piece.hole;
      continue;
    }
    // While the lock was let go, it may have been erased: it is part of the space then.
    if (!space || !still_lies(piece, segment)) continue;
    if (moved > needed * kMostMoved) break;
    if (!move_down(*piece.slot, *space)) {
      allocator.free(*std::exchange(space, std::nullopt));
      continue;
    }
    moved += piece.bytes;
    at_once += piece.bytes;
    if (at_once < kMostAtOnce) continue;
    lock.unlock();
    at_once = 0;
    lock.lock();
  }
  if (!space) return false;
  allocator.free(*space);
  return space->bytes >= needed;
}

bool Holdings::still_lies(const Movable& piece, std::size_t segment) const {
  const Record& record = records_[*piece.slot];
  return record.segment == segment && record.place == Record::Place::memory &&
         record.offset == piece.offset && record.bytes == piece.bytes;
}

/// An object's block changes places with the space right below it; false if it stays.
bool Holdings::move_down(std::uint64_t slot, numa::Extent& space) {
  const Entry entry = catalogue_.read(slot);
  Record& record = records_[slot];
  if (!hide(slot, entry)) return false;
  const auto exchanged =
      memory_->allocator(record.segment).exchange(space, record.extent(), entry.layout.alignment());
  if (!exchanged) {
    show(slot, entry);
    return false;
  }
  const std::uint64_t down = record.offset - exchanged->block.offset;
  std::byte* const from = memory_->arena().at(entry.location);
  std::byte* const to = from - down;
  const auto source = spilled_part(from, entry.layout);
  std::memmove(spilled_part(to, entry.layout).data(), source.data(), source.size());
  write_header(to, {entry.id, incarnation_, entry.layout}, new_generation());
  record.lie_in(record.segment, exchanged->block);
  space = exchanged->space;
  catalogue_.move(slot, entry.location - down);
  counts_.moved += 1;
  counts_.moved_bytes += entry.layout.block_bytes();
  return true;
}

}  // namespace holdfast
