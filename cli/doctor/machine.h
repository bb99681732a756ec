// The facts `holdfast doctor` judges: gathered in one place, so that the checks are functions of values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/fabric/launch.h"
#include "holdfast/fabric/ofi.h"
#include "holdfast/numa/topology.h"
#include "holdfast/options.h"

namespace holdfast::cli {

struct Machine {
  Result<StoreOptions> options = StoreOptions{};  ///< what a store would be opened with here
  std::vector<std::string> variables;  ///< the HOLDFAST_ variables that are set, as "HOLDFAST_NODES=0"
  Status log_level = {};               ///< whether HOLDFAST_LOG can be read
  Result<fabric::Identity> launch = fabric::Identity{.launcher = "alone"};  ///< which rank this would be
  std::string launch_unasked;                                               ///< why nobody was asked for it

  std::vector<numa::Node> nodes;
  std::vector<numa::Nic> nics;
  bool transparent_memfd = false;  ///< the kernel backs memfds with transparent huge pages
  int memfd_error = 0;             ///< errno of making a sealed memfd; 0: it works

  std::uint64_t memory_limit = UINT64_MAX;  ///< of the machine or the cgroup
  std::string memory_limit_source;
  std::optional<std::uint64_t> memory_available;
  std::optional<std::uint64_t> shm_bytes;  ///< of /dev/shm; nothing: not mounted

  std::uint64_t locked_memory = UINT64_MAX;       ///< soft limit; UINT64_MAX: none, or this process is exempt
  std::uint64_t most_locked_memory = UINT64_MAX;  ///< hard limit: what the soft one can be raised to

  Result<std::vector<fabric::OfiCandidate>> providers = {};  ///< best first, each once

  int io_uring_error = 0;           ///< errno of io_uring_setup; 0: permitted
  std::optional<int> ptrace_scope;  ///< nothing: the kernel has no Yama
  std::string clock_source;         ///< "tsc"; empty: unknown

  Status opened = {};  ///< what came of opening a store alone with `options`, or why they cannot be read
  std::string opened_provider;             ///< that it took; empty: unknown
  std::vector<std::string> unbound_nodes;  ///< why a segment of it does not lie on its node, and the fix
};

/// This machine, now. Loads every provider of libfabric (0.2 s), and opens a store of this process alone with
/// the options of the environment, but touches none of its memory. For one thread, once in a process:
/// afterwards its environment says that it is alone.
Machine look_at_machine();

}  // namespace holdfast::cli
