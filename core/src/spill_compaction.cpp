// How SpillFiles gets space back: what lives in a half-dead segment is moved to the open one.
#include <algorithm>

#include "holdfast/base/checksum.h"
#include "holdfast/base/units.h"
#include "src/spill_files.h"

namespace holdfast {
namespace {

// Segments that may wait to be compacted before writes do.
constexpr std::size_t kMostBehind = 4;

}  // namespace

bool SpillFiles::behind() const noexcept { return segments_.candidates() > kMostBehind; }

void SpillFiles::compact_if_due() {
  if (compacting_ || segments_.candidates() == 0 || segments_.closed()) return;
  compacting_ = true;
  spawn(compact_all(), [] {});
}

/// One after the other, until none is left.
Task<void> SpillFiles::compact_all() {
  const Busy busy(tasks_);
  while (!segments_.closed()) {
    const std::optional<std::uint32_t> segment = segments_.take_candidate();
    if (!segment) break;
    co_await compact(*segment);
    if (behind()) continue;
    for (std::deque<Wait*> held_up = std::exchange(held_up_, {}); !held_up.empty(); held_up.pop_front())
      ended(*held_up.front());
  }
  compacting_ = false;
}

Task<void> SpillFiles::compact(std::uint32_t segment) {
  segments_.hold(segment);
  if (segments_.only_in_place(segment)) {
    if (segments_.begin_in_place(segment)) co_await compact_in_place(segment);
    segments_.release(segment);
    co_return;
  }
  const std::vector<std::uint32_t> objects = objects_in_order(segment);
  Wait moved;
  for (std::size_t next = 0; next < objects.size() && !segments_.closed();) {
    const Object& object = objects_[objects[next]];
    if (object.bytes == 0 || object.segment != segment) {
      ++next;
    } else if (object.bytes <= small_) {
      next += co_await move_small(std::span(objects).subspan(next), segment, moved);
    } else {
      co_await move_large(objects[next++], moved);
    }
  }
  if (batch_) flush();  // nobody else may come to fill it
  co_await moved;
  if (moved.unreadable) segments_.compaction_failed(segment);
  if (moved.error) segments_.no_room_for(segment);
  segments_.release(segment);
}

/// What lives there, by offset.
std::vector<std::uint32_t> SpillFiles::objects_in_order(std::uint32_t segment) const {
  std::vector<std::uint32_t> objects = segments_.objects(segment);
  std::erase_if(objects, [&](std::uint32_t number) {
    return objects_[number].bytes == 0 || objects_[number].segment != segment;
  });
  const auto by_offset = [&](std::uint32_t number) { return objects_[number].offset; };
  std::ranges::sort(objects, {}, by_offset);
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  return objects;
}

/// Moves the first of these objects, and as many small ones after it as one transfer reaches, into batches.
/// Returns how many it has dealt with.
Task<std::size_t> SpillFiles::move_small(std::span<const std::uint32_t> objects, std::uint32_t segment,
                                         Wait& moved) {
  const std::uint64_t from = align_down(objects_[objects.front()].offset, kDiskSector);
  std::uint64_t to = from;
  std::vector<std::pair<SpillHandle, std::uint64_t>> moving;  // and where they lie in the transfer
  std::size_t count = 0;
  for (; count < objects.size(); ++count) {
    const Object& object = objects_[objects[count]];
    if (object.bytes == 0 || object.segment != segment) continue;
    const std::uint64_t end = align_up(object.offset + object.bytes, kDiskSector);
    if (object.bytes > small_ || end - from > transfer_) break;
    to = end;
    moving.emplace_back(handle_of(objects[count]), object.offset - from);
  }
  SpillBuffer& buffer = *co_await buffers_.take();
  start_read(buffer, {segment, from}, to - from);
  Status arrived = co_await buffer.ended();
  note_read(segment, arrived);
  if (!arrived) {  // a bad spot keeps its neighbours from being moved, not from being read
    moved.unreadable = true;
    moving.clear();
  }
  for (const auto& [handle, at] : moving) {
    const Object* object = find(handle);
    if (object == nullptr) continue;
    co_await room_in_batch(object->bytes);
    object = find(handle);
    if (object == nullptr) continue;
    // The checksum stays that of the bytes as they were given: damage on the way is seen when they are read.
    copy_bytes(append(object->bytes, handle, moved), buffer.memory().subspan(at, object->bytes),
               CopyMode::cached);
  }
  buffers_.give(buffer);
  co_return count;
}

Task<void> SpillFiles::move_large(std::uint32_t number, Wait& moved) {
  const SpillHandle handle = handle_of(number);
  const SpillPlace from{objects_[number].segment, objects_[number].offset};
  const std::uint64_t bytes = align_up(objects_[number].bytes, kDiskSector);
  for (;;) {  // each directory once at most
    const Result<SpillPlace> to = segments_.reserve(bytes);
    if (!to) {
      if (!moved.error) moved.error = to.error();
      co_return;
    }
    bool write_failed = false;
    const Status done = co_await move_bytes(from, *to, bytes, write_failed);
    if (done) move_object(handle, *to);
    if (write_failed) {
      give_up(*to, done.error());
      continue;
    }
    segments_.release(to->segment);
    if (!done) moved.unreadable = true;
    co_return;
  }
}

/// Where nothing takes more because it is full: the last of what lives moves into the first holes, so that
/// the end of the file is free. No byte that is alive, or was when this began, is written over: who begins to
/// read meanwhile still gets his.
Task<void> SpillFiles::compact_in_place(std::uint32_t segment) {
  std::vector<Extent> extents = extents_of(segment);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> holes;
  std::uint64_t at = 0;
  for (const Extent& extent : extents) {
    if (extent.from > at) holes.emplace_back(at, extent.from);
    at = extent.to;
  }
  auto hole = holes.begin();
  while (!extents.empty() && !segments_.closed()) {
    const Extent& last = extents.back();
    const std::uint64_t bytes = last.to - last.from;
    while (hole != holes.end() && hole->second - hole->first < bytes) ++hole;
    if (hole == holes.end() || hole->first > last.from) break;
    if (!co_await move_extent(last, {segment, hole->first})) break;
    hole->first += bytes;
    extents.pop_back();
  }
  std::uint64_t end = 0;
  for (const Extent& extent : extents_of(segment)) end = std::max(end, extent.to);
  segments_.moved_in_place(segment, end);
}

/// By offset.
std::vector<SpillFiles::Extent> SpillFiles::extents_of(std::uint32_t segment) const {
  std::vector<Extent> out;
  for (const std::uint32_t number : objects_in_order(segment)) {
    const Object& object = objects_[number];
    const std::uint64_t from = align_down(object.offset, kDiskSector);
    const std::uint64_t to = align_up(object.offset + object.bytes, kDiskSector);
    if (out.empty() || out.back().to <= from) out.push_back({from, to});
    out.back().to = std::max(out.back().to, to);
    out.back().objects.push_back(handle_of(number));
  }
  return out;
}

/// Within its segment.
Task<bool> SpillFiles::move_extent(const Extent& extent, SpillPlace to) {
  bool write_failed = false;
  const Status moved =
      co_await move_bytes({to.segment, extent.from}, to, extent.to - extent.from, write_failed);
  if (write_failed) segments_.fail_directory(to.segment, moved.error());
  if (!moved && !write_failed) segments_.compaction_failed(to.segment);
  if (!moved) co_return false;
  for (const SpillHandle handle : extent.objects)
    if (const Object* const object = find(handle))
      move_object(handle, {to.segment, to.offset + object->offset - extent.from});
  co_return true;
}

/// One piece at a time: those who wait for their objects come first.
Task<Status> SpillFiles::move_bytes(SpillPlace from, SpillPlace to, std::uint64_t bytes, bool& write_failed) {
  SpillBuffer& buffer = *co_await buffers_.take();
  Status status;
  for (std::uint64_t at = 0; at < bytes && status;) {
    const std::uint64_t piece = std::min(transfer_, bytes - at);
    start_read(buffer, {from.segment, from.offset + at}, piece);
    status = co_await buffer.ended();
    note_read(from.segment, status);
    if (!status) break;
    start_write(buffer, {to.segment, to.offset + at}, piece);
    status = co_await buffer.ended();
    write_failed = !status;
    at += piece;
  }
  buffers_.give(buffer);
  co_return status;
}

}  // namespace holdfast
