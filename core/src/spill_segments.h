#pragma once
#include <cstdint>
#include <vector>

#include "holdfast/stats.h"

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

struct SpillStats {
  std::vector<SpillDirectoryStats> directories;
};
}  // namespace holdfast
