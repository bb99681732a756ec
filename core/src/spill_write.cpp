// How SpillFiles writes: small objects in batches, larger ones in pieces.
#include <algorithm>

#include "holdfast/base/checksum.h"
#include "holdfast/base/units.h"
#include "src/spill_files.h"

namespace holdfast {
namespace {

// A batch that is not full goes while fewer writes than these are under way: so the disk always has the next
// one, and nobody waits longer than for what is queued.
constexpr unsigned kEagerWrites = 2;
// Objects from this size on begin at a cache line: copies into them are faster, and it costs a sixteenth at
// most.
constexpr std::uint64_t kAlignedFrom = 1024;

}  // namespace

Task<Result<SpillHandle>> SpillFiles::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) co_return fail(Code::invalid, "spill", "an object without bytes needs no place on disk");
  const Busy busy(tasks_);
  while (behind() && !segments_.closed()) {
    compact_if_due();
    Wait wait;
    wait.pending = 1;
    held_up_.push_back(&wait);
    co_await wait;
  }
  Result<SpillHandle> written = 0;
  if (bytes.size() <= small_)
    written = co_await write_small(bytes);
  else
    written = co_await write_large(bytes);
  compact_if_due();  // also where it was refused: what is dead may make room
  co_return written;
}

Task<Result<SpillHandle>> SpillFiles::write_small(std::span<const std::byte> bytes) {
  co_await room_in_batch(bytes.size());
  Wait wait;
  const std::span<std::byte> to = append(bytes.size(), 0, wait);
  batch_->items.back().checksum = copy_and_checksum(to, bytes, CopyMode::cached);
  batch_->urgent = true;
  flush_if_due();
  co_await wait;
  if (wait.error) co_return tl::unexpected(std::move(*wait.error));
  co_return wait.handle;
}

/// Returns with a batch that has room.
Task<void> SpillFiles::room_in_batch(std::uint64_t bytes) {
  while (!batch_ || align_up(batch_->used, kCacheLine) + bytes > transfer_) {
    if (batch_) flush();
    SpillBuffer* const buffer = co_await buffers_.take();
    if (batch_) {  // somebody else was faster
      buffers_.give(*buffer);
      continue;
    }
    batch_ = std::make_unique<Batch>();
    batch_->buffer = buffer;
  }
}

/// The next bytes of the batch, which has room; the caller fills them at once.
std::span<std::byte> SpillFiles::append(std::uint64_t bytes, SpillHandle moved, Wait& wait) {
  Batch& batch = *batch_;
  const std::span<std::byte> memory = batch.buffer->memory();
  const std::uint64_t at = bytes >= kAlignedFrom ? align_up(batch.used, kCacheLine) : batch.used;
  std::fill(memory.begin() + static_cast<std::ptrdiff_t>(batch.used),
            memory.begin() + static_cast<std::ptrdiff_t>(at), std::byte{0});
  batch.used = at + bytes;
  batch.items.push_back({at, bytes, 0, moved, &wait});
  ++wait.pending;
  return memory.subspan(at, bytes);
}

void SpillFiles::flush_if_due() {
  if (batch_ && batch_->urgent && (writing_ < kEagerWrites || segments_.closed())) flush();
}

void SpillFiles::flush() {
  ++writing_;
  spawn(write_batch(std::move(batch_)), [] {});
}

Task<void> SpillFiles::write_batch(std::unique_ptr<Batch> batch) {
  const std::uint64_t bytes = align_up(batch->used, kDiskSector);
  // No memory of ours goes to disk that was not given for it.
  std::ranges::fill(batch->buffer->memory().subspan(batch->used, bytes - batch->used), std::byte{0});
  const Result<SpillPlace> place = co_await write_buffer(*batch->buffer, bytes);
  for (const Batch::Item& item : batch->items) {
    if (!place) {
      if (!item.wait->error) item.wait->error = place.error();
      continue;
    }
    const SpillPlace at{place->segment, place->offset + item.offset};
    if (item.moved != 0)
      move_object(item.moved, at);
    else
      item.wait->handle = add_object(at, item.bytes, item.checksum);
  }
  if (place) segments_.release(place->segment);
  --writing_;
  buffers_.give(*batch->buffer);
  flush_if_due();
  for (const Batch::Item& item : batch->items) ended(*item.wait);
  compact_if_due();
}

/// Writes it wherever there is a directory that takes it, each tried once at most. The segment is held.
Task<Result<SpillPlace>> SpillFiles::write_buffer(SpillBuffer& buffer, std::uint64_t bytes) {
  for (;;) {
    HOLDFAST_CO_TRY(const SpillPlace place, segments_.reserve(bytes));
    start_write(buffer, place, bytes);
    const Status written = co_await buffer.ended();
    if (written) co_return place;
    give_up(place, written.error());
  }
}

Task<Result<SpillHandle>> SpillFiles::write_large(std::span<const std::byte> bytes) {
  for (;;) {  // each directory once at most, as in write_buffer()
    HOLDFAST_CO_TRY(const SpillPlace place, segments_.reserve(align_up(bytes.size(), kDiskSector)));
    ++writing_;
    const Result<std::uint64_t> sum = co_await write_pieces(place, bytes);
    --writing_;
    flush_if_due();
    if (sum) {
      const SpillHandle handle = add_object(place, bytes.size(), *sum);
      segments_.release(place.segment);
      compact_if_due();
      co_return handle;
    }
    give_up(place, sum.error());
  }
}

/// The checksum of what was written. Pieces are filled while those before are on their way.
Task<Result<std::uint64_t>> SpillFiles::write_pieces(SpillPlace place, std::span<const std::byte> bytes) {
  std::deque<Piece> flying;
  Status status;
  std::uint64_t sum = 0, at = 0;
  while (at < bytes.size() || !flying.empty()) {
    SpillBuffer* buffer = at < bytes.size() ? buffers_.try_take() : nullptr;
    if (buffer == nullptr && flying.empty()) buffer = co_await buffers_.take();
    if (buffer == nullptr) {
      const Piece piece = flying.front();
      flying.pop_front();
      Status written = co_await piece.buffer->ended();
      buffers_.give(*piece.buffer);
      if (!written && status) {
        status = std::move(written);
        at = bytes.size();
      }
      continue;
    }
    const std::span<const std::byte> from = bytes.subspan(at, std::min(transfer_, bytes.size() - at));
    const std::uint64_t whole = align_up(from.size(), kDiskSector);
    sum = copy_and_checksum(buffer->memory().first(from.size()), from, CopyMode::cached, sum);
    std::ranges::fill(buffer->memory().subspan(from.size(), whole - from.size()), std::byte{0});
    start_write(*buffer, {place.segment, place.offset + at}, whole);
    flying.push_back({buffer, at, from.size()});
    at += from.size();
  }
  if (!status) co_return tl::unexpected(std::move(status).error());
  co_return sum;
}

}  // namespace holdfast
