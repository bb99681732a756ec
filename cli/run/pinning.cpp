#include "cli/run/pinning.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>

#include "cli/run/exit_codes.h"
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

int run_as_local_rank(const char* index, char* const* program) {
  const std::string_view text = index;
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    fmt::print(stderr, "holdfast-run: {} {}: not a number\n", kAsLocalRank, text);
    return 2;
  }
  if (const auto nodes = node_cpus(); !nodes.empty()) {
    const cpu_set_t& cpus = nodes[number % nodes.size()];
    ::sched_setaffinity(0, sizeof cpus, &cpus);  // a wish, not a need
  }
  ::execvp(program[0], program);
  const int number_of_error = errno;
  fmt::print(stderr, "holdfast-run: {}: {}\n", program[0], std::generic_category().message(number_of_error));
  return number_of_error == ENOENT ? kCodeNotFound : kCodeNotExecutable;
}

}  // namespace holdfast::run
