// A second process that cleans up after holdfast-run, even after one that was killed.
#pragma once

#include <sys/types.h>

#include "cli/run/command.h"
#include "cli/run/process.h"
#include "holdfast/base/file.h"
#include "holdfast/base/result.h"

namespace holdfast::run {

/// Knows the process groups of the job through a pipe. When the pipe ends, because holdfast-run has finished
/// or has died, it removes the rendezvous directory and kills the groups that are left and what has left
/// them.
class Janitor {
 public:
  /// Call before the first rank is started, while there is one thread. Errors: system.
  static Result<Janitor> hire(const Job& job);
  Janitor(Janitor&& other) noexcept;
  Janitor& operator=(Janitor&&) = delete;
  /// Lets it clean up, and waits until it has.
  ~Janitor();

  pid_t pid() const noexcept { return pid_; }
  void started(pid_t group, Kind kind) noexcept;
  void ended(pid_t group) noexcept;

 private:
  Janitor(pid_t pid, File pipe) : pid_(pid), pipe_(std::move(pipe)) {}
  pid_t pid_;
  File pipe_;
};

}  // namespace holdfast::run
