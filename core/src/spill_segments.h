#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {

struct SpillOptions {
  /// Size of a file, preallocated; directories are taken in turn, file by file. Larger: fewer files; smaller:
  /// less is moved at once, and less of a disk is taken by a process that spills little. Smaller ones are
  /// made where a disk has no room for such a one. Bound: at least `transfer_bytes`.
  std::uint64_t segment_bytes = std::uint64_t{256} << 20;
  /// Most bytes of one read or write. A multiple of 64 KiB.
  std::uint64_t transfer_bytes = std::uint64_t{1} << 20;
  /// Bytes being read and written at once: this much memory is taken for buffers. At least 4 transfers.
  std::uint64_t bytes_in_flight = std::uint64_t{8} << 20;
};

struct SpillDirectoryStats {
  std::string directory;
  std::string mode;                  ///< how it is reached: "io_uring, O_DIRECT"
  std::uint64_t bytes_live = 0;      ///< of objects there
  std::uint64_t bytes_in_files = 0;  ///< of its segments, spare ones included
  std::uint64_t objects = 0;
  std::uint64_t segments = 0;       ///< files, spare ones included
  std::uint64_t bytes_written = 0;  ///< to the disk, with padding and with what was moved there
  std::uint64_t bytes_read = 0;     ///< from the disk, with padding and with what was moved from there
  std::uint64_t bytes_moved = 0;    ///< of objects that compaction moved away from its segments
  std::string failed;               ///< why it takes no more writes; empty: it does
};

struct SpillStats {
  std::vector<SpillDirectoryStats> directories;
};
}  // namespace holdfast
