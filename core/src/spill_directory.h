// A folder for spilled objects on this machine: what its files are called, whose they are, and what is left
// of processes that have crashed.
//
// A file is called holdfast-UID-PID-START-N@HOST.spill, START being the process's start time as the kernel
// counts it (so a process id that is given anew does not make an old file look alive), HOST a checksum of the
// host's name: elsewhere neither the process nor, on some file systems, its lock can be seen. It is made new,
// for this user only, and locked (flock) while its process lives. A file is somebody's leftover if all of
// that can be seen to be over: the name is ours, the file is a regular one of this user, its process is gone
// and nobody holds its lock (a process in another container cannot be seen, but its lock can).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/file.h"
#include "holdfast/base/result.h"
#include "src/disk_queue.h"

namespace holdfast {

/// What a file's name says.
struct SpillFileName {
  std::uint64_t user = 0;
  std::uint64_t process = 0;
  std::uint64_t started = 0;  ///< clock ticks after the machine's start
  std::uint64_t number = 0;
  std::uint64_t host = 0;  ///< 0: not known, taken for this one

  std::string text() const;
  /// Nothing where the name is not exactly as text() makes it.
  static std::optional<SpillFileName> parse(std::string_view name);
};

/// What was removed at the start.
struct SpillLeftovers {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t elsewhere = 0;  ///< files of this user's processes on other hosts: left alone
};

class SpillDirectory {
 public:
  /// Errors: invalid (missing, not a directory), denied (not writable), system; naming the directory and the
  /// fix.
  static Result<SpillDirectory> open(const std::string& path, bool use_direct);

  const std::string& path() const noexcept { return path_; }
  /// Whether files are opened for O_DIRECT; if not, why, for people.
  bool direct() const noexcept { return refusal_.empty(); }
  const std::string& refusal() const noexcept { return refusal_; }

  /// Removes what crashed processes of this user have left. What cannot be looked at is left alone.
  SpillLeftovers remove_leftovers() const;

  /// A new locked file with room for `bytes`. Errors: exists, full, denied, system.
  Result<DiskFile> create(std::uint64_t number, std::uint64_t bytes) const;
  /// Removes its name, if it is still this file's. Errors: denied, system.
  Status remove(const DiskFile& file) const;

 private:
  SpillDirectory() = default;
  Status probe();
  void remove_leftover(const std::string& name, SpillLeftovers& removed) const;
  bool remove_name(const std::string& name, int file) const;

  std::string path_;
  File directory_;
  SpillFileName own_;    ///< of this process; the number is each file's
  std::string refusal_;  ///< why not O_DIRECT
};

}  // namespace holdfast
