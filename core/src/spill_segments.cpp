#include "src/spill_segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "holdfast/base/check.h"
#include "holdfast/base/log.h"
#include "holdfast/base/units.h"

namespace holdfast {
namespace {

// A disk without room for a whole segment is filled with smaller ones, halved down to this.
constexpr std::uint64_t kLeastSegment = std::uint64_t{1} << 20;
// File names that other stores of this process may have taken in the same directory.
constexpr int kNameTries = 1 << 16;
// Compacting a segment whose objects cannot be read is given up after this often: they stay where they are.
constexpr std::uint8_t kCompactionTries = 2;

}  // namespace

SpillSegments::SpillSegments(std::vector<std::unique_ptr<Disk>> disks, const SpillOptions& options)
    : options_(options) {
  HOLDFAST_CHECK(!disks.empty(), "spilling needs a directory");
  for (std::unique_ptr<Disk>& disk : disks) {
    disks_.push_back(disk.get());
    directories_.emplace_back().disk = std::move(disk);
  }
  next_directory_ = static_cast<std::uint32_t>(options_.first_directory % directories_.size());
}

Error SpillSegments::closed_error() {
  return {Code::timed_out, "spill", "the store is being closed; nothing is spilled or restored any more"};
}

Result<SpillPlace> SpillSegments::reserve(std::uint64_t bytes) {
  if (closed_) return tl::unexpected(closed_error());
  std::uint32_t segment = 0;
  if (bytes > options_.segment_bytes) {
    HOLDFAST_TRY(segment, next_segment(bytes));
    at(segment).state = State::closed;
  } else {
    if (!open_ || at(*open_).bytes - at(*open_).end < bytes) {
      // One that lives stays open until there is another: smaller objects may still fit.
      if (open_ && at(*open_).live == 0) close_open();
      HOLDFAST_TRY(const std::uint32_t next, next_segment(bytes));
      close_open();
      open_ = next;
    }
    segment = *open_;
  }
  Segment& chosen = at(segment);
  ++chosen.holds;
  reserved_ += bytes;
  return SpillPlace{segment, std::exchange(chosen.end, chosen.end + bytes)};
}

std::uint64_t SpillSegments::least_segment() const noexcept {
  return std::min(kLeastSegment, options_.segment_bytes);
}

/// A new or spare segment with room for `bytes`, in the next directory that has one.
Result<std::uint32_t> SpillSegments::next_segment(std::uint64_t bytes) {
  const std::uint64_t least = std::max(bytes, least_segment());
  const std::uint64_t wanted = std::max(bytes, options_.segment_bytes);
  std::optional<Error> too_large;
  for (std::size_t tried = 0; tried < directories_.size(); ++tried) {
    const std::uint32_t number = next_directory_;
    next_directory_ = static_cast<std::uint32_t>((number + 1) % directories_.size());
    Directory& directory = directories_[number];
    if (directory.failed) continue;
    if (directory.spare && at(*directory.spare).bytes >= bytes) {
      const std::uint32_t spare = *std::exchange(directory.spare, std::nullopt);
      at(spare).state = State::open;
      return spare;
    }
    if (const auto roomy = take_roomy(directory, bytes)) return *roomy;
    auto created = create(number, wanted, least);
    if (created) return created;
    // One too large for the disk says little of others.
    if (bytes > least_segment() && created.error().code == Code::full)
      too_large = std::move(created).error();
    else
      fail(directory, created.error());
  }
  if (too_large) return tl::unexpected(std::move(*too_large));
  return tl::unexpected(all_failed());
}

Result<std::uint32_t> SpillSegments::create(std::uint32_t directory, std::uint64_t bytes,
                                            std::uint64_t least) {
  Result<FileNumber> file = create_file(*directories_[directory].disk, bytes);
  while (!file && file.error().code == Code::full && bytes > least) {
    bytes = std::max(least, align_up(bytes / 2, kDiskSector));
    file = create_file(*directories_[directory].disk, bytes);
  }
  if (!file) return tl::unexpected(std::move(file).error());
  std::uint32_t number = static_cast<std::uint32_t>(segments_.size());
  if (free_numbers_.empty()) {
    segments_.emplace_back();
  } else {
    number = free_numbers_.back();
    free_numbers_.pop_back();
  }
  segments_[number] = std::make_unique<Segment>();
  Segment& segment = at(number);
  segment.directory = directory;
  segment.file = *file;
  segment.bytes = bytes;
  return number;
}

Result<FileNumber> SpillSegments::create_file(Disk& disk, std::uint64_t bytes) {
  Result<FileNumber> file = disk.create(std::to_string(next_name_++), bytes);
  for (int tries = 1; !file && file.error().code == Code::exists && tries < kNameTries; ++tries)
    file = disk.create(std::to_string(next_name_++), bytes);
  return file;
}

void SpillSegments::fail_directory(std::uint32_t segment, const Error& why) {
  if (closed_) return;
  const std::uint32_t number = at(segment).directory;
  Directory& directory = directories_[number];
  // One that was full would be tried again.
  if (!directory.failed || (directory.failed->code == Code::full && why.code != Code::full))
    fail(directory, why);
  if (open_ && at(*open_).directory == number) close_open();
}

void SpillSegments::note_damage(std::uint32_t segment, const Error& what) {
  Directory& directory = directories_[at(segment).directory];
  if (std::exchange(directory.told_damage, true)) return;
  log(LogLevel::warning,
      fmt::format("an object in {} is not as it was written, others there may be damaged as well; see who "
                  "writes to those files, and whether the disk is sound: {}",
                  directory.disk->directory(), what.message()));
}

void SpillSegments::fail(Directory& directory, const Error& why) {
  directory.failed = why;
  const bool told = why.code == Code::full && std::exchange(directory.told_full, true);
  if (!told)
    log(LogLevel::warning, fmt::format("nothing more is spilled to {}, what is there is still read: {}",
                                       directory.disk->directory(), why.message()));
  if (directory.spare) retire(*std::exchange(directory.spare, std::nullopt));
  for (const std::uint32_t number : std::exchange(directory.roomy, {}))
    at(number).roomy = at(number).shrunk = false;
  directory.freed = 0;
  if (directory.failed) look_again_at_all();  // what finds no room elsewhere may be moved in place
}

/// A file is gone that had so much written. A full disk that has got a smallest segment's worth of room back
/// is tried again: as often as there is such room, so nobody tries one for ever. Errors stay.
void SpillSegments::note_freed(Directory& directory, std::uint64_t bytes) {
  if (!directory.failed || directory.failed->code != Code::full) return;
  directory.freed += bytes;
  if (directory.freed < least_segment()) return;
  directory.failed.reset();
  log(LogLevel::debug, fmt::format("{} has room again", directory.disk->directory()));
  look_again_at_all();  // what half died meanwhile was no candidate
}

Error SpillSegments::all_failed() const {
  Error out{Code::full, "spill", "no spill directory takes any more"};
  const char* separator = ": ";
  for (const Directory& directory : directories_) {
    if (!directory.failed) continue;
    if (directory.failed->code != Code::full)
      out.code = directory.failed->code == Code::denied ? Code::denied : Code::system;
    out.detail += std::exchange(separator, "; ") + directory.failed->message();
  }
  return out;
}

void SpillSegments::close_open() {
  if (!open_) return;
  const std::uint32_t closed = *std::exchange(open_, std::nullopt);
  at(closed).state = State::closed;
  settle(closed);
}

void SpillSegments::release(std::uint32_t segment) {
  --at(segment).holds;
  settle(segment);
  look_for_room();
}

void SpillSegments::add(std::uint32_t segment, std::uint32_t object, std::uint64_t bytes) {
  Segment& to = at(segment);
  to.live += bytes;
  ++to.living;
  to.added += bytes;
  to.objects.push_back(object);
}

void SpillSegments::drop(std::uint32_t segment, std::uint64_t bytes) {
  Segment& from = at(segment);
  from.live -= bytes;
  --from.living;
  settle(segment);
  look_for_room();
}

void SpillSegments::no_room_for(std::uint32_t segment) {
  if (!std::exchange(at(segment).no_room, true)) ++without_room_;
  no_room_with_ = reserved_;
}

/// Compaction that found no room is tried again where there may be some. Each time less is held than when it
/// was tried last, so it ends.
void SpillSegments::look_for_room() {
  if (without_room_ == 0 || reserved_ + least_segment() > no_room_with_) return;
  without_room_ = 0;
  for (const auto& segment : segments_)
    if (segment) segment->no_room = false;
  look_again_at_all();
}

void SpillSegments::look_again_at_all() {
  for (std::uint32_t number = 0; number < segments_.size(); ++number)
    if (segments_[number] && segments_[number]->live > 0) settle(number);
}

/// What lies behind `end` is free again.
void SpillSegments::rewind(Segment& segment, std::uint64_t end) {
  reserved_ -= segment.end - end;
  segment.end = end;
}

/// Does what has become possible with a segment: writing it from the beginning again, giving back its file or
/// the end of it, having it compacted.
void SpillSegments::settle(std::uint32_t number) {
  Segment& segment = at(number);
  if (segment.holds > 0 || closed_) return;
  if (segment.live == 0) {
    segment.objects.clear();
    if (segment.state == State::open) rewind(segment, 0);
    if (segment.state == State::closed) retire(number);
    return;
  }
  if (segment.state == State::open && !close_if_stuck(number)) return;
  if (segment.roomy || offer_the_rest(number)) return;
  if (!segment.shrunk && segment.end < segment.bytes) {
    // Where that is refused, the file keeps its end: tried once.
    if (directories_[segment.directory].disk->shrink(segment.file, segment.end)) segment.bytes = segment.end;
  }
  segment.shrunk = true;
  if (!worth_compacting(segment)) return;
  segment.queued = true;
  candidates_.push_back(number);
}

bool SpillSegments::worth_compacting(const Segment& segment) const {
  if (2 * segment.live > segment.end || segment.queued || segment.failures >= kCompactionTries) return false;
  if (writable() && !segment.no_room) return true;
  const std::optional<Error>& failed = directories_[segment.directory].failed;
  if (!failed || failed->code != Code::full) return false;
  return segment.tried_in_place == 0 || 2 * segment.live <= segment.tried_in_place;
}

bool SpillSegments::only_in_place(std::uint32_t number) const {
  const Segment& segment = *segments_[number];
  const std::optional<Error>& failed = directories_[segment.directory].failed;
  return failed && failed->code == Code::full && (segment.no_room || !writable());
}

bool SpillSegments::begin_in_place(std::uint32_t number) {
  Segment& segment = at(number);
  if (segment.holds > 1) return false;
  segment.tried_in_place = segment.live;
  return true;
}

/// The open one, too, where nothing takes more and much of it is dead.
bool SpillSegments::close_if_stuck(std::uint32_t number) {
  Segment& segment = at(number);
  if (writable() || 2 * segment.end < segment.bytes || 2 * segment.live > segment.end) return false;
  open_.reset();
  segment.state = State::closed;
  return true;
}

/// What lives there has been moved together: the rest is written next.
bool SpillSegments::offer_the_rest(std::uint32_t number) {
  Segment& segment = at(number);
  const auto end = std::exchange(segment.moved_before, std::nullopt);
  if (!end || *end >= segment.end) return false;
  Directory& directory = directories_[segment.directory];
  const std::uint64_t freed = segment.end - *end;
  rewind(segment, *end);
  segment.shrunk = false;
  if (directory.failed && directory.failed->code != Code::full) return false;
  segment.roomy = true;
  directory.roomy.push_back(number);
  ++room_made_;
  note_freed(directory, freed);
  return true;
}

/// One with room for `bytes` behind what lives there, to be written on.
std::optional<std::uint32_t> SpillSegments::take_roomy(Directory& directory, std::uint64_t bytes) {
  const auto found = std::ranges::find_if(
      directory.roomy, [&](std::uint32_t one) { return at(one).bytes - at(one).end >= bytes; });
  if (found == directory.roomy.end()) return std::nullopt;
  const std::uint32_t number = *found;
  directory.roomy.erase(found);
  Segment& segment = at(number);
  segment.roomy = segment.shrunk = false;
  segment.tried_in_place = 0;
  segment.state = State::open;
  return number;
}

/// Nothing lives there and nobody uses it: its file becomes the directory's spare one, or goes.
void SpillSegments::retire(std::uint32_t number) {
  Segment& segment = at(number);
  Directory& directory = directories_[segment.directory];
  if (segment.queued) std::erase(candidates_, number);
  if (segment.roomy) std::erase(directory.roomy, number);
  rewind(segment, 0);
  // One that has lost much of its end is not worth keeping; nor is one that was an object's own.
  const bool usual =
      segment.bytes <= options_.segment_bytes && segment.bytes >= options_.segment_bytes / 8 * 7;
  if (usual && !directory.failed && !directory.spare && segment.state != State::spare) {
    const Segment was = std::exchange(segment, Segment());
    segment.directory = was.directory;
    segment.file = was.file;
    segment.bytes = was.bytes;
    segment.added = was.added;
    segment.state = State::spare;
    directory.spare = number;
    return;
  }
  const std::string path = directory.disk->describe(segment.file);
  const std::uint64_t freed = std::min(segment.bytes, segment.added);
  const Status removed = directory.disk->remove(segment.file);
  if (!removed && !std::exchange(directory.remove_failed, true))
    log(LogLevel::warning, fmt::format("a spill file stays behind, remove it when the job has ended: {} ({})",
                                       path, removed.error().message()));
  segments_[number].reset();
  free_numbers_.push_back(number);
  if (!removed) return;
  ++room_made_;
  note_freed(directory, freed);
}

bool SpillSegments::writable() const {
  return std::ranges::any_of(directories_, [](const Directory& one) { return !one.failed; });
}

std::optional<std::uint32_t> SpillSegments::take_candidate() {
  if (candidates_.empty()) return std::nullopt;
  const std::uint32_t segment = candidates_.front();
  candidates_.pop_front();
  at(segment).queued = false;
  return segment;
}

std::string SpillSegments::describe(SpillPlace place) const {
  const Segment& segment = *segments_[place.segment];
  return fmt::format("offset {} of {}", place.offset,
                     directories_[segment.directory].disk->describe(segment.file));
}

SpillStats SpillSegments::stats() const {
  SpillStats out;
  for (const Directory& directory : directories_) {
    SpillDirectoryStats& stats = out.directories.emplace_back(directory.stats);
    stats.directory = directory.disk->directory();
    stats.mode = directory.disk->mode();
    if (directory.failed) stats.failed = directory.failed->message();
  }
  for (const auto& segment : segments_) {
    if (!segment) continue;
    SpillDirectoryStats& stats = out.directories[segment->directory];
    stats.bytes_live += segment->live;
    stats.objects += segment->living;
    stats.bytes_in_files += segment->bytes;
    ++stats.segments;
  }
  return out;
}

}  // namespace holdfast
