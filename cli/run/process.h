// Starting one rank.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <optional>

#include "cli/run/command.h"
#include "holdfast/base/file.h"
#include "holdfast/base/result.h"

namespace holdfast::run {

/// What a child gets back that holdfast-run has changed for itself.
struct Inherited {
  sigset_t signals{};
  rlimit descriptors{};
};

enum class Kind : std::uint8_t {
  rank,   ///< the program; it is killed when holdfast-run dies
  agent,  ///< runs the program elsewhere, and ends it when its standard input ends
};

/// A started process: the leader of its own process group.
struct Process {
  pid_t pid = -1;
  File input;  ///< agents only: where names of signals are written to
  File output;
  File errors;
};

/// A program that could not be executed.
struct NotStarted {
  int error_number = 0;
  bool exec = false;  ///< the program is to blame, not this system
};

/// Starts `command`. The program's standard input is empty; of an agent it is `input`. The other two come
/// back as non-blocking pipes.
tl::expected<Process, NotStarted> start(const Command& command, Kind kind,
                                        const std::optional<cpu_set_t>& cpus, const Inherited& inherited);

}  // namespace holdfast::run
