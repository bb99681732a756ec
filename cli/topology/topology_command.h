// `holdfast topology`: the machine as Holdfast sees it.
#pragma once

#include <string>

#include "holdfast/numa/topology.h"

namespace CLI {
class App;
}

namespace holdfast::cli {

/// Adds the subcommand; its exit status goes to `exit_code`, which outlives `app`: 0, or 1 where the machine
/// (or the description of one) cannot be read.
void add_topology_command(CLI::App& app, int& exit_code);

/// A tree of nodes with their processors, memory, huge pages, distances and network devices.
std::string topology_tree(const numa::Topology& topology);

/// The same as JSON; sizes in bytes.
std::string topology_json(const numa::Topology& topology);

}  // namespace holdfast::cli
