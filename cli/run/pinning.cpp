#include "cli/run/pinning.h"

#include "holdfast/numa/topology.h"

namespace holdfast::run {

std::vector<cpu_set_t> node_cpus() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return {};  // more processors than a cpu_set_t holds
  const auto topology = numa::Topology::discover();
  if (!topology) return {};
  std::vector<cpu_set_t> sets;
  for (const numa::Node& node : topology->nodes()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const std::uint32_t cpu : node.cpus)
      if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &set);
    if (CPU_COUNT(&set) > 0) sets.push_back(set);
  }
  if (sets.size() < 2) sets.clear();
  return sets;
}

}  // namespace holdfast::run
