// The line to a PMI-1 server: PMI_FD, one request and one reply at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"

namespace holdfast::fabric::launch::pmi1 {

/// Whether an MPI library in this process has been initialized. Looks for one among the loaded libraries, so
/// that Holdfast need not be linked with any.
bool mpi_is_initialized();

/// This process's only line. Its descriptor belongs to the launcher, and to MPI if this process uses it: it
/// is shared in turns, which works since nobody reads more than the reply to his request. Single-threaded.
///
/// One `init` a process: Slurm ends the job at a second one, so where MPI has said it, it is not said again.
/// One `finalize`: a rank that leaves without is taken for crashed by hydra, which ends the others. It is
/// said at exit, unless MPI has said `init` before or has closed the descriptor by then.
class Line {
 public:
  /// Opens the line at the first call. Errors: system (PMI_FD is closed, the server is gone or speaks another
  /// version).
  static Result<Line*> get(int fd, const Clock& clock);

  /// Sends a request and reads its reply, which has to be of the kind `expected`. Errors: timed_out, system.
  Result<std::string> ask(std::string_view request, std::string_view expected, const Clock& clock,
                          Deadline deadline);

  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

 private:
  Line() = default;
  ~Line();
  Status open(int fd, const Clock& clock);
  bool is_still_open() const;
  Status send(std::string_view request);
  Result<std::string> receive(const Clock& clock, Deadline deadline);

  int fd_ = -1;
  dev_t device_ = 0;  // with inode_: is the descriptor still the one it was?
  ino_t inode_ = 0;
  pid_t process_ = 0;
  bool said_init_ = false;
  bool spoilt_ = false;  // a reply was not waited for; the next one read could be that one
};

}  // namespace holdfast::fabric::launch::pmi1
