// Plays a scenario on a cluster, with an oracle that watches.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/scenario.h"

namespace holdfast::sim::test {

struct Played {
  std::vector<std::string> violations;
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;
  std::map<std::string, std::uint64_t> ended;  ///< operations, by "act code"
};

Played play(const Scenario& scenario);

}  // namespace holdfast::sim::test
