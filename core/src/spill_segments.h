// The segments of all spill directories: which is written now, what lives in each, which ones are worth
// compacting, and which directories take no more writes. No transfers here, only the books.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/stats.h"
#include "src/disk.h"

namespace holdfast {

struct SpillOptions {
  /// Size of a file, preallocated; directories are taken in turn, file by file. Larger: fewer files; smaller:
  /// less is moved at once, and less of a disk is taken by a process that spills little. Smaller ones are
  /// made where a disk has no room for one of this size. Bound: at least `transfer_bytes`.
  std::uint64_t segment_bytes = std::uint64_t{256} << 20;
  /// Most bytes of one read or write. A multiple of 64 KiB.
  std::uint64_t transfer_bytes = std::uint64_t{1} << 20;
  /// Bytes being read and written at once: this much memory is taken for buffers. Bound: at least 4
  /// transfers.
  std::uint64_t bytes_in_flight = std::uint64_t{8} << 20;
  /// Which directory gets the first file; counted round, so any number will do. Those who share the
  /// directories begin with different ones.
  std::uint32_t first_directory = 0;
};

struct SpillStats {
  std::vector<SpillDirectoryStats> directories;
};

/// A range of a segment.
struct SpillPlace {
  std::uint32_t segment = 0;
  std::uint64_t offset = 0;
};

class SpillSegments {
 public:
  SpillSegments(std::vector<std::unique_ptr<Disk>> disks, const SpillOptions& options);

  /// A range to write to, of a multiple of kDiskSector bytes; a larger one than a segment gets one of its
  /// own. The segment is held for the caller. Errors: full, denied, system: no directory takes it; why,
  /// directory by directory.
  Result<SpillPlace> reserve(std::uint64_t bytes);

  /// While a segment is held, its file stays as it is: neither removed nor written anew.
  void hold(std::uint32_t segment) noexcept { ++at(segment).holds; }
  void release(std::uint32_t segment);

  /// An object lives there now (`object` is the caller's number for it), or no more.
  void add(std::uint32_t segment, std::uint32_t object, std::uint64_t bytes);
  void drop(std::uint32_t segment, std::uint64_t bytes);

  /// The directory of this segment takes no more writes, for a write or a read has failed there; one that is
  /// full, until files of ours there have gone. Logged once.
  void fail_directory(std::uint32_t segment, const Error& why);

  /// Bytes came from this segment that are not those that were written. Its directory takes more: perhaps it
  /// was somebody who wrote to the file, and checksums keep such bytes from everybody. Logged once.
  void note_damage(std::uint32_t segment, const Error& what);

  /// Some directory takes writes.
  bool writable() const;
  /// How often there has come room for more: a file has gone, or what lives in one was moved together.
  std::uint64_t room_made() const noexcept { return room_made_; }

  /// The next one to compact, taken from the queue: at least half of it is dead.
  std::optional<std::uint32_t> take_candidate();
  std::size_t candidates() const noexcept { return candidates_.size(); }
  /// Numbers of objects that were added, in no order; some may be gone, or live elsewhere, or be there twice.
  const std::vector<std::uint32_t>& objects(std::uint32_t segment) const {
    return segments_[segment]->objects;
  }
  /// There is no room elsewhere for what lives there, but its directory is only full: it is moved together in
  /// its own file, over what is dead.
  bool only_in_place(std::uint32_t segment) const;
  /// What is dead there may be written over: nobody else holds it. It is not tried in place again before half
  /// of what lives now has died.
  bool begin_in_place(std::uint32_t segment);
  /// All that lives there now ends before. What lies behind is written anew when nobody holds it any more.
  void moved_in_place(std::uint32_t segment, std::uint64_t end) { at(segment).moved_before = end; }
  /// What lives there could not be read. It is tried once more at most.
  void compaction_failed(std::uint32_t segment) { ++at(segment).failures; }
  /// What lives there found no room elsewhere. It is tried again when there may be some: when segments hold
  /// less, by a smallest one's worth, than now.
  void no_room_for(std::uint32_t segment);

  Disk& disk(std::uint32_t segment) noexcept { return *directories_[at(segment).directory].disk; }
  FileNumber file(std::uint32_t segment) const noexcept { return segments_[segment]->file; }
  std::string describe(SpillPlace place) const;
  void count_written(std::uint32_t segment, std::uint64_t bytes) { stats(segment).bytes_written += bytes; }
  void count_read(std::uint32_t segment, std::uint64_t bytes) { stats(segment).bytes_read += bytes; }
  void count_moved(std::uint32_t segment, std::uint64_t bytes) { stats(segment).bytes_moved += bytes; }
  SpillStats stats() const;

  const std::vector<Disk*>& disks() const noexcept { return disks_; }
  /// From now on nothing is created, shrunk or removed, and no directory fails.
  void close() noexcept { closed_ = true; }
  bool closed() const noexcept { return closed_; }
  /// What is said to whoever comes after close().
  static Error closed_error();

 private:
  enum class State : std::uint8_t { open, closed, spare };
  struct Segment {
    std::uint32_t directory = 0;
    FileNumber file;
    State state = State::open;
    bool queued = false;        ///< among the candidates
    bool shrunk = false;        ///< to its end
    bool no_room = false;       ///< elsewhere for what lives there: see no_room_for()
    bool roomy = false;         ///< among the directory's roomy ones
    std::uint8_t failures = 0;  ///< of compacting it
    std::uint32_t holds = 0;
    std::uint64_t bytes = 0;           ///< of the file
    std::uint64_t end = 0;             ///< what has been reserved
    std::uint64_t live = 0;            ///< of objects
    std::uint64_t added = 0;           ///< of objects that have ever been there
    std::uint64_t living = 0;          ///< objects there now
    std::uint64_t tried_in_place = 0;  ///< with so much alive; 0: not yet
    std::optional<std::uint64_t> moved_before;
    std::vector<std::uint32_t> objects;
  };
  struct Directory {
    std::unique_ptr<Disk> disk;
    std::optional<Error> failed;
    std::optional<std::uint32_t> spare;
    std::vector<std::uint32_t> roomy;  ///< moved together: to be written on from their ends
    bool remove_failed = false;        ///< has been logged
    bool told_full = false;            ///< likewise
    bool told_damage = false;          ///< likewise
    std::uint64_t freed = 0;           ///< of written files, since it failed
    SpillDirectoryStats stats;         ///< what is only counted
  };

  std::uint64_t least_segment() const noexcept;
  Segment& at(std::uint32_t segment) noexcept { return *segments_[segment]; }
  SpillDirectoryStats& stats(std::uint32_t segment) { return directories_[at(segment).directory].stats; }
  Result<std::uint32_t> next_segment(std::uint64_t bytes);
  Result<std::uint32_t> create(std::uint32_t directory, std::uint64_t bytes, std::uint64_t least);
  Result<FileNumber> create_file(Disk& disk, std::uint64_t bytes);
  void fail(Directory& directory, const Error& why);
  void note_freed(Directory& directory, std::uint64_t bytes);
  Error all_failed() const;
  void close_open();
  void settle(std::uint32_t segment);
  bool worth_compacting(const Segment& segment) const;
  bool close_if_stuck(std::uint32_t segment);
  bool offer_the_rest(std::uint32_t segment);
  std::optional<std::uint32_t> take_roomy(Directory& directory, std::uint64_t bytes);
  void retire(std::uint32_t segment);
  void rewind(Segment& segment, std::uint64_t end);
  void look_again_at_all();
  void look_for_room();
  std::uint64_t room_made_ = 0;

  SpillOptions options_;
  std::vector<Directory> directories_;
  std::vector<Disk*> disks_;
  std::vector<std::unique_ptr<Segment>> segments_;  ///< null: the number is free
  std::vector<std::uint32_t> free_numbers_;
  std::optional<std::uint32_t> open_;
  std::uint32_t next_directory_ = 0;
  std::uint64_t next_name_ = 0;
  std::deque<std::uint32_t> candidates_;
  std::uint64_t reserved_ = 0;      ///< in all segments, up to their ends
  std::uint64_t no_room_with_ = 0;  ///< so much of it, at last
  std::uint64_t without_room_ = 0;  ///< segments, at most
  bool closed_ = false;
};

}  // namespace holdfast
