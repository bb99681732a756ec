#include "src/spill_files.h"

#include <algorithm>

#include "holdfast/base/check.h"
#include "holdfast/base/checksum.h"
#include "holdfast/base/units.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kLeastBuffers = 4;

/// Every bound of SpillOptions kept.
SpillOptions bounded(SpillOptions options) {
  options.transfer_bytes =
      std::max(align_up(options.transfer_bytes, kChecksumPiece), std::uint64_t{kChecksumPiece});
  options.bytes_in_flight = std::max(options.bytes_in_flight, kLeastBuffers * options.transfer_bytes);
  options.segment_bytes = align_up(std::max(options.segment_bytes, options.transfer_bytes), kDiskSector);
  return options;
}

}  // namespace

// Pieces of an object are whole pieces of its checksum, and begin at a sector.
static_assert(kChecksumPiece % kDiskSector == 0);

SpillFiles::SpillFiles(std::vector<std::unique_ptr<Disk>> disks, const SpillOptions& options)
    : transfer_(bounded(options).transfer_bytes),
      small_(transfer_ / 4),
      readers_(static_cast<std::uint32_t>(bounded(options).bytes_in_flight / transfer_ / 2)),
      segments_(std::move(disks), bounded(options)),
      buffers_(transfer_, bounded(options).bytes_in_flight / transfer_, ready_) {}

SpillFiles::~SpillFiles() {
  segments_.close();
  for (std::deque<Wait*> held_up = std::exchange(held_up_, {}); !held_up.empty(); held_up.pop_front())
    ended(*held_up.front());
  if (batch_) flush();
  for (Disk* const disk : segments_.disks()) disk->stop();
  HOLDFAST_CHECK(tasks_ == 0, "what is under way has ended with its disk");
}

SpillHandle SpillFiles::handle_of(std::uint32_t object) const noexcept {
  return std::uint64_t{objects_[object].generation} << 32 | object;
}

SpillFiles::Object* SpillFiles::find(SpillHandle handle) noexcept {
  const auto object = static_cast<std::uint32_t>(handle);
  if (object >= objects_.size() || objects_[object].bytes == 0 || handle_of(object) != handle) return nullptr;
  return &objects_[object];
}

SpillHandle SpillFiles::add_object(SpillPlace place, std::uint64_t bytes, std::uint64_t checksum) {
  auto number = static_cast<std::uint32_t>(objects_.size());
  if (free_objects_.empty()) {
    objects_.emplace_back();
  } else {
    number = free_objects_.back();
    free_objects_.pop_back();
  }
  Object& object = objects_[number];
  object.offset = place.offset;
  object.bytes = bytes;
  object.checksum = checksum;
  object.segment = place.segment;
  segments_.add(place.segment, number, bytes);
  return handle_of(number);
}

/// Its bytes are in the new place as well. It may have been freed meanwhile.
void SpillFiles::move_object(SpillHandle handle, SpillPlace to) {
  Object* const object = find(handle);
  if (object == nullptr) return;
  const std::uint32_t from = std::exchange(object->segment, to.segment);
  object->offset = to.offset;
  segments_.count_moved(from, object->bytes);
  segments_.add(to.segment, static_cast<std::uint32_t>(handle), object->bytes);
  segments_.drop(from, object->bytes);
}

void SpillFiles::free(SpillHandle handle) {
  Object* const object = find(handle);
  if (object == nullptr) return;
  const std::uint32_t segment = object->segment;
  const std::uint64_t bytes = std::exchange(object->bytes, 0);
  // Before the generation has gone round, the slot is left alone: no handle is ever used twice.
  if (++object->generation != 0) free_objects_.push_back(static_cast<std::uint32_t>(handle));
  segments_.drop(segment, bytes);
  compact_if_due();
}

void SpillFiles::start_write(SpillBuffer& buffer, SpillPlace place, std::uint64_t bytes) {
  if (segments_.closed()) return buffer.refuse(SpillSegments::closed_error());
  segments_.count_written(place.segment, bytes);
  buffer.write(segments_.disk(place.segment), segments_.file(place.segment), place.offset, bytes);
}

void SpillFiles::start_read(SpillBuffer& buffer, SpillPlace place, std::uint64_t bytes) {
  if (segments_.closed()) return buffer.refuse(SpillSegments::closed_error());
  segments_.count_read(place.segment, bytes);
  buffer.read(segments_.disk(place.segment), segments_.file(place.segment), place.offset, bytes);
}

/// Writing there has failed: nothing will be in that range, and nothing more in that directory.
void SpillFiles::give_up(SpillPlace place, const Error& why) {
  segments_.fail_directory(place.segment, why);
  segments_.release(place.segment);
}

void SpillFiles::ended(Wait& wait) {
  if (--wait.pending == 0 && wait.waiting) ready_.add(wait.waiting);
}

}  // namespace holdfast
