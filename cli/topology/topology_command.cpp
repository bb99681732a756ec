#include "cli/topology/topology_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

namespace holdfast::cli {
namespace {

struct TopologyOptions {
  bool json = false;
  std::string synthetic;
  std::string xml;
};

Result<numa::Topology> load(const TopologyOptions& options) {
  if (!options.synthetic.empty()) return numa::Topology::from_synthetic(options.synthetic);
  if (!options.xml.empty()) return numa::Topology::from_xml_file(options.xml);
  return numa::Topology::discover();
}

int run_topology(const TopologyOptions& options) {
  const auto topology = load(options);
  if (!topology) {
    fmt::print(stderr, "{}\n", topology.error().message());
    return 1;
  }
  fmt::print("{}", options.json ? topology_json(*topology) : topology_tree(*topology));
  return 0;
}

}  // namespace

void add_topology_command(CLI::App& app, int& exit_code) {
  auto* const command = app.add_subcommand("topology", "NUMA nodes, memory, distances and network devices");
  const auto options = std::make_shared<TopologyOptions>();
  command->add_flag("--json", options->json, "print JSON; sizes in bytes");
  auto* const synthetic = command->add_option(
      "--synthetic", options->synthetic, "another machine, as hwloc describes one: \"numa:4 core:2 pu:2\"");
  command->add_option("--xml", options->xml, "another machine, saved there by lstopo FILE.xml")
      ->excludes(synthetic);
  command->callback([options, &exit_code] { exit_code = run_topology(*options); });
}

}  // namespace holdfast::cli
