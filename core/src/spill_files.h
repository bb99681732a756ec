// Objects on disk: many in each of a few large files, the segments.
//
// Single-threaded: one thread calls everything here and drives the disks. Nothing depends on real time, on
// randomness or on addresses, so the simulator can drive it, too. All bytes go through aligned buffers of its
// own, as many as `bytes_in_flight` says; who finds none waits, in order.
//
// A segment is written from its beginning to its end, then closed. Small objects are packed into batches, one
// write each; larger ones are written in pieces to a range of their own. An object's place, size and checksum
// are kept in memory only: the files mean nothing to another process. When half of a closed segment is dead,
// what lives in it is moved to the segment that is open, and its file is reused or removed.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "src/disk.h"
#include "src/spill_segments.h"

namespace holdfast {

/// An object on disk. Stays the same however often the object is moved, and is never used twice. 0: none.
using SpillHandle = std::uint64_t;

class SpillFiles {
 public:
  /// One directory each, at least one; used in turn, segment by segment. Where there are several real ones,
  /// open them together (UringDisk::open).
  SpillFiles(std::vector<std::unique_ptr<Disk>> disks, const SpillOptions& options);
  /// Everything under way ends first, from inside this call, with timed_out; the tasks must start nothing
  /// here.
  ~SpillFiles();
  SpillFiles(const SpillFiles&) = delete;
  SpillFiles& operator=(const SpillFiles&) = delete;

  /// Puts a copy of `bytes` on disk: any address, any size from 1 B (larger than a segment: one of its own).
  /// They stay readable and as they are until it ends. Where a directory fails, the next one is tried.
  /// Errors: full (no directory has room), denied or system (none is left that takes writes; the detail says
  /// why, directory by directory), invalid (no bytes), timed_out (closing).
  Task<Result<SpillHandle>> write(std::span<const std::byte> bytes);

  /// Brings the bytes back; `into` has the size that was written. What fails says so before `into` counts.
  /// Errors: corrupt (truncated or altered: names the file and the offset), system (I/O error, names the
  /// file), not_found (no such handle, or freed), invalid (size), timed_out (closing).
  Task<Status> read(SpillHandle handle, std::span<std::byte> into);

  /// The object is not needed any more; a read of it that is under way still gets its bytes. A handle that is
  /// none, or was freed, is passed over.
  void free(SpillHandle handle);

  /// Drives the disks: see Disk::drive().
  std::size_t drive(Deadline until);
  /// Makes drive() return. Any thread.
  void wake() noexcept;

  SpillStats stats() const;
  /// Whether nothing is under way: no write, no read, no compaction.
  bool idle() const noexcept { return tasks_ == 0; }

 private:
  std::uint64_t tasks_ = 0;
};

}  // namespace holdfast
