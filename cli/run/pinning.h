// Which processors a local rank may run on.
#pragma once

#include <sched.h>

#include <cstdint>
#include <vector>

namespace holdfast::run {

/// One set per NUMA node that has processors this process may use, by node number. Empty where there is
/// nothing to choose: fewer than two such nodes, or the machine cannot be read.
std::vector<cpu_set_t> node_cpus();

}  // namespace holdfast::run
