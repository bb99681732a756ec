// How SpillFiles reads: small objects together with those beside them that somebody wants, larger ones in
// pieces.
#include <fmt/format.h>

#include <algorithm>

#include "holdfast/base/checksum.h"
#include "holdfast/base/units.h"
#include "src/mutation.h"
#include "src/spill_files.h"

namespace holdfast {

Task<Status> SpillFiles::read(SpillHandle handle, std::span<std::byte> into) {
  const Object* const found = find(handle);
  if (found == nullptr)
    co_return fail(Code::not_found, "restore", "nothing is spilled under this handle any more");
  if (into.size() != found->bytes)
    co_return fail(Code::invalid, "restore",
                   fmt::format("the object has {} bytes, not {}", found->bytes, into.size()));
  const Busy busy(tasks_);
  // The object may be moved or freed meanwhile: its bytes stay here while the segment is held.
  const SpillPlace place{found->segment, found->offset};
  const std::uint64_t sum = found->checksum;
  segments_.hold(place.segment);
  Status status;
  if (into.size() <= small_)
    status = co_await read_small(place, sum, into);
  else
    status = co_await read_large(place, sum, into);
  if (!status && status.error().code == Code::corrupt) segments_.note_damage(place.segment, status.error());
  segments_.release(place.segment);
  compact_if_due();
  co_return status;
}

Task<Status> SpillFiles::read_small(SpillPlace place, std::uint64_t checksum, std::span<std::byte> into) {
  SmallRead read;
  read.place = place;
  read.checksum = checksum;
  read.into = into;
  read.wait.pending = 1;
  read.age = reads_.insert(reads_.end(), &read);
  reads_by_place_.emplace(std::pair(place.segment, place.offset), &read);
  if (reading_ < readers_) {
    ++reading_;
    spawn(read_pending(), [] {});
  }
  co_await read.wait;
  co_return std::move(read.status);
}

/// Reads what waits, the oldest and its neighbours first, until nothing does.
Task<void> SpillFiles::read_pending() {
  SpillBuffer& buffer = *co_await buffers_.take();
  while (!reads_.empty()) {
    Span span;
    const std::vector<SmallRead*> reads = take_neighbours(span);
    const Status arrived = co_await read_span(buffer, span, reads);
    // A bad spot is the loss of what lies there, not of its neighbours.
    if (!arrived && reads.size() > 1)
      for (SmallRead* const read : reads)
        read->status = co_await read_span(buffer, span_of(*read), std::span(&read, 1));
    else if (!arrived)
      reads.front()->status = arrived;
    for (SmallRead* const read : reads) ended(read->wait);
  }
  --reading_;
  buffers_.give(buffer);
}

/// One transfer, and what came of it for each of these; its error where it failed.
Task<Status> SpillFiles::read_span(SpillBuffer& buffer, Span span, std::span<SmallRead* const> reads) {
  start_read(buffer, {span.segment, span.from}, span.to - span.from);
  Status arrived = co_await buffer.ended();
  note_read(span.segment, arrived);
  if (!arrived) co_return arrived;
  for (SmallRead* const read : reads) {
    const auto bytes = buffer.memory().subspan(read->place.offset - span.from, read->into.size());
    const std::uint64_t sum = copy_and_checksum(read->into, bytes, CopyMode::cached);
    read->status = check(read->place, read->into.size(), sum, read->checksum);
  }
  co_return arrived;
}

/// What is read for this one alone.
SpillFiles::Span SpillFiles::span_of(const SmallRead& read) {
  const std::uint64_t end = read.place.offset + read.into.size();
  return {read.place.segment, align_down(read.place.offset, kDiskSector), align_up(end, kDiskSector)};
}

/// Takes the oldest read, and those beside it on disk as far as one transfer reaches.
std::vector<SpillFiles::SmallRead*> SpillFiles::take_neighbours(Span& span) {
  const SmallRead& oldest = *reads_.front();
  span = span_of(oldest);
  auto last = reads_by_place_.lower_bound(std::pair(oldest.place.segment, oldest.place.offset));
  auto first = last;
  while (last != reads_by_place_.end() && join(span, *last->second)) ++last;
  while (first != reads_by_place_.begin() && join(span, *std::prev(first)->second)) --first;
  std::vector<SmallRead*> taken;
  for (auto at = first; at != last; ++at) {
    taken.push_back(at->second);
    reads_.erase(at->second->age);
  }
  reads_by_place_.erase(first, last);
  return taken;
}

/// Makes the span reach over this one, too, if it lies beside it and there is room.
bool SpillFiles::join(Span& span, const SmallRead& read) const {
  if (read.place.segment != span.segment) return false;
  const Span alone = span_of(read);
  const std::uint64_t from = std::min(span.from, alone.from);
  const std::uint64_t to = std::max(span.to, alone.to);
  const bool beside = alone.from <= span.to && alone.to >= span.from;
  if (!beside || to - from > transfer_) return false;
  span.from = from;
  span.to = to;
  return true;
}

Task<Status> SpillFiles::read_large(SpillPlace place, std::uint64_t checksum, std::span<std::byte> into) {
  const CopyMode mode = copy_mode_for(into.size());
  std::deque<Piece> flying;
  Status status;
  std::uint64_t sum = 0, at = 0;
  while (at < into.size() || !flying.empty()) {
    SpillBuffer* buffer = at < into.size() ? buffers_.try_take() : nullptr;
    if (buffer == nullptr && flying.empty()) buffer = co_await buffers_.take();
    if (buffer != nullptr) {
      const std::uint64_t bytes = std::min(transfer_, into.size() - at);
      start_read(*buffer, {place.segment, place.offset + at}, align_up(bytes, kDiskSector));
      flying.push_back({buffer, at, bytes});
      at += bytes;
      continue;
    }
    const Piece piece = flying.front();
    flying.pop_front();
    Status arrived = co_await piece.buffer->ended();
    note_read(place.segment, arrived);
    if (arrived && status)
      sum = copy_and_checksum(into.subspan(piece.at, piece.bytes), piece.buffer->memory().first(piece.bytes),
                              mode, sum);
    if (!arrived && status) {
      status = std::move(arrived);
      at = into.size();
    }
    buffers_.give(*piece.buffer);
  }
  if (!status) co_return status;
  co_return check(place, into.size(), sum, checksum);
}

/// What goes to a disk that cannot be read might not come back, so it takes no more; what is there is tried
/// all the same. A file that was cut off tells of who did it, not of the disk.
void SpillFiles::note_read(std::uint32_t segment, const Status& arrived) {
  if (!arrived && arrived.error().code != Code::corrupt) segments_.fail_directory(segment, arrived.error());
}

Status SpillFiles::check(SpillPlace place, std::uint64_t bytes, std::uint64_t is,
                         std::uint64_t expected) const {
  if (is == expected || HOLDFAST_MUTATION(skip_disk_checksum)) return {};
  return fail(
      Code::corrupt, "restore",
      fmt::format("the {} bytes at {} are not those that were written: somebody has altered the file, or the "
                  "disk has lost a write",
                  bytes, segments_.describe(place)));
}

}  // namespace holdfast
