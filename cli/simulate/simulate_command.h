// `holdfast simulate`: what a workload would cost on a cluster that is not at hand.
#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace holdfast::cli {

/// As the user gave them; sizes as text. Empty or 0: by the others.
struct SimulateOptions {
  std::string workload;
  std::uint32_t members = 0;
  std::string topology;
  std::string object_size = "1MiB";
  std::uint32_t objects = 0;
  std::uint32_t gets = 64;
  double skew = -1;  ///< negative: by the workload
  std::uint32_t in_flight = 4;
  std::string arena;
  std::uint32_t disks = 0;
  std::string same_host = "memory";
  std::string fabric;
  std::string costs;
  double link_gbit = 0, link_latency_us = 0, core_latency_us = 0;
  std::uint64_t seed = 1;
  std::string json;  ///< file; "-": to standard output instead of the table
};

/// The exit status: 0, 1 where it could not be simulated, 2 for options that do not fit together.
int run_simulate(const SimulateOptions& options);

/// Adds the subcommand; when it is called, its exit status goes to `exit_code`, which outlives `app`.
void add_simulate_command(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
