// A directory of the machine as a Disk: io_uring and O_DIRECT where they can be had, pread and pwrite on the
// driving thread where not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "holdfast/base/result.h"
#include "src/disk.h"

namespace holdfast {

struct UringDiskOptions {
  bool use_uring = true;   ///< false: as where the kernel or its filters refuse io_uring
  bool use_direct = true;  ///< false: as where the file system refuses O_DIRECT
};

class UringDisk final : public Disk {
 public:
  /// Opens spill directories together: they share one queue. Removes what processes of this user left there
  /// when they crashed. Errors: invalid (missing, not a directory, named twice), denied (not writable),
  /// system; all name the directory and say what to do.
  static Result<std::vector<std::unique_ptr<Disk>>> open(std::span<const std::string> directories,
                                                         const UringDiskOptions& options = {});
};

}  // namespace holdfast
