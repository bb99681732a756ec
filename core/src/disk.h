// What spilling needs of a file system, asynchronous. UringDisk (uring_disk.h) is the real one; a simulated
// one (core/sim/sim_disk.h) runs the same code above it under virtual time.
//
// A Disk belongs to one thread at a time; only wake() may be called from others. Every operation ends exactly
// once, by a call to its Completion from inside drive() or stop() (the simulated one: from an event of its
// timeline), never from inside the call that started it.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast {

/// Addresses, offsets and lengths of all reads and writes are multiples of it (O_DIRECT).
inline constexpr std::uint64_t kDiskSector = 4096;

/// A file of one Disk. Never used twice.
struct FileNumber {
  std::uint32_t value = 0;
  friend auto operator<=>(const FileNumber&, const FileNumber&) = default;
};

class Disk {
 public:
  virtual ~Disk() = default;  ///< stop() has been called, or nothing is under way; its files are removed

  /// A new file with room for `bytes` (preallocated where the file system can). `name`: decimal digits,
  /// different for each of this disk's files. Errors: exists (somebody else has a file of that name: take
  /// another), full, denied, system.
  virtual Result<FileNumber> create(std::string_view name, std::uint64_t bytes) = 0;
  /// Gives back what lies behind the first `bytes`. Nothing is under way there. Errors: system.
  virtual Status shrink(FileNumber file, std::uint64_t bytes) = 0;
  /// The file and its number are gone. Nothing is under way on it. Errors: denied, system.
  virtual Status remove(FileNumber file) = 0;

  /// Starts writing; `bytes` stay as they are until the completion. Errors there: full, denied, system,
  /// naming the file; timed_out (stop()).
  virtual void write(FileNumber file, std::uint64_t offset, std::span<const std::byte> bytes,
                     fabric::Completion& completion) = 0;
  /// Starts reading; `into` belongs to the disk until the completion. Errors there: corrupt (the file ends
  /// before: somebody has truncated it), system, naming the file; timed_out (stop()).
  virtual void read(FileNumber file, std::uint64_t offset, std::span<std::byte> into,
                    fabric::Completion& completion) = 0;

  /// Completes what has ended; blocks until something has, wake() is called, or `until`. Returns how many
  /// operations ended. Disks that were opened together share a queue: driving one drives all. The simulated
  /// one is driven by its timeline and does nothing here.
  virtual std::size_t drive(Deadline until) = 0;
  /// Makes a present or the next drive() return; never lost. Any thread.
  virtual void wake() noexcept = 0;

  /// Ends everything under way, from inside this call: as it went, or with timed_out. Nothing is started
  /// after.
  virtual void stop() = 0;

  /// The file's path, for errors.
  virtual std::string describe(FileNumber file) const = 0;
  /// The directory's path, and how it is reached ("io_uring, O_DIRECT"), for people.
  virtual const std::string& directory() const noexcept = 0;
  virtual std::string mode() const = 0;
};

}  // namespace holdfast
