// A second process that cleans up after holdfast-run, even after one that was killed.
#pragma once

#include <sys/types.h>

#include <string>

#include "cli/run/process.h"
#include "holdfast/base/file.h"
#include "holdfast/base/result.h"

namespace holdfast::run {

/// Knows the process groups of the job through a pipe. When the pipe ends, because holdfast-run has finished
/// or has died, it kills the groups that are left and removes the rendezvous directory.
class Janitor {
 public:
  /// Call before the first rank is started, while there is one thread. Errors: system.
  static Result<Janitor> hire(const std::string& directory);
  Janitor(Janitor&& other) noexcept;
  Janitor& operator=(Janitor&&) = delete;
  /// Lets it clean up, and waits until it has.
  ~Janitor();

  void started(pid_t group, Kind kind) noexcept;
  void ended(pid_t group) noexcept;

 private:
  Janitor(pid_t pid, File pipe) : pid_(pid), pipe_(std::move(pipe)) {}
  pid_t pid_;
  File pipe_;
};

}  // namespace holdfast::run
