// Which processors a rank on this host may run on.
#pragma once

#include <sched.h>

#include <cstdint>
#include <vector>

namespace holdfast::run {

/// One set per NUMA node that has processors this process may use, by node number. Empty where there is
/// nothing to choose: fewer than two such nodes, or the machine cannot be read.
std::vector<cpu_set_t> node_cpus();

/// What `holdfast-run --as-local-rank INDEX PROGRAM ARGUMENTS...` does, which holdfast-run itself has run on
/// other hosts: binds this process to a node in turn, where there is something to choose, and becomes the
/// program. Returns the exit code where that fails.
inline constexpr const char* kAsLocalRank = "--as-local-rank";
int run_as_local_rank(const char* index, char* const* program);

}  // namespace holdfast::run
