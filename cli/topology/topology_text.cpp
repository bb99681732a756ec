// How a topology is printed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "cli/topology/topology_command.h"
#include "holdfast/base/units.h"

namespace holdfast::cli {
namespace {

/// "0-3,8,10-11"
std::string ranges(const std::vector<std::uint32_t>& ascending) {
  std::string text;
  for (std::size_t i = 0; i < ascending.size();) {
    std::size_t last = i;
    while (last + 1 < ascending.size() && ascending[last + 1] == ascending[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += last == i ? fmt::format("{}", ascending[i]) : fmt::format("{}-{}", ascending[i], ascending[last]);
    i = last + 1;
  }
  return text;
}

std::string describe(const numa::Node& node) {
  return fmt::format("node {}: {}, {}", node.id.value,
                     node.cpus.empty() ? "no processors" : "processors " + ranges(node.cpus),
                     node.memory_bytes == 0 ? "no memory" : format_bytes(node.memory_bytes));
}

std::string distances(const numa::Topology& topology, const numa::Node& from) {
  std::vector<std::string> parts;
  for (const numa::Node& to : topology.nodes())
    if (to.id != from.id)
      parts.push_back(fmt::format("{} to node {}", topology.distance(from.id, to.id), to.id.value));
  return fmt::format("distance: {}", fmt::join(parts, ", "));
}

/// What hangs below a node in the tree, a line each.
std::vector<std::string> leaves(const numa::Topology& topology, const numa::Node& node) {
  std::vector<std::string> lines;
  for (const numa::HugePages& pages : node.huge_pages)
    lines.push_back(fmt::format("huge pages of {}: {} free of {}", format_bytes(pages.page_bytes), pages.free,
                                pages.total));
  if (topology.nodes().size() > 1) lines.push_back(distances(topology, node));
  for (const numa::Nic& nic : topology.nics())
    if (nic.node == node.id) lines.push_back(fmt::format("{} ({})", nic.name, nic.kind));
  return lines;
}

void draw(std::string& text, std::string_view indent, const std::vector<std::string>& lines) {
  for (std::size_t i = 0; i < lines.size(); ++i)
    text += fmt::format("{}{} {}\n", indent, i + 1 == lines.size() ? "└─" : "├─", lines[i]);
}

}  // namespace

std::string topology_tree(const numa::Topology& topology) {
  const auto& nodes = topology.nodes();
  std::vector<std::string> elsewhere;
  for (const numa::Nic& nic : topology.nics())
    if (!nic.node) elsewhere.push_back(fmt::format("{} ({})", nic.name, nic.kind));
  std::size_t processors = 0;
  for (const numa::Node& node : nodes) processors += node.cpus.size();

  std::string text = fmt::format("{}: {} NUMA node{}, {} processor{}, {}\n",
                                 topology.is_this_machine() ? "this machine" : "a described machine",
                                 nodes.size(), nodes.size() == 1 ? "" : "s", processors,
                                 processors == 1 ? "" : "s", format_bytes(topology.memory_bytes()));
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const bool last = i + 1 == nodes.size() && elsewhere.empty();
    text += fmt::format("{} {}\n", last ? "└─" : "├─", describe(nodes[i]));
    draw(text, last ? "   " : "│  ", leaves(topology, nodes[i]));
  }
  if (!elsewhere.empty()) {
    text += "└─ at no node in particular\n";
    draw(text, "   ", elsewhere);
  }
  return text;
}

std::string topology_json(const numa::Topology& topology) {
  using nlohmann::ordered_json;
  ordered_json json;
  json["this_machine"] = topology.is_this_machine();
  json["memory_bytes"] = topology.memory_bytes();
  json["nodes"] = ordered_json::array();
  for (const numa::Node& node : topology.nodes()) {
    ordered_json entry;
    entry["id"] = node.id.value;
    entry["processors"] = node.cpus;
    entry["memory_bytes"] = node.memory_bytes;
    entry["huge_pages"] = ordered_json::array();
    for (const numa::HugePages& pages : node.huge_pages)
      entry["huge_pages"].push_back(
          {{"page_bytes", pages.page_bytes}, {"total", pages.total}, {"free", pages.free}});
    entry["distances"] = ordered_json::object();
    for (const numa::Node& to : topology.nodes())
      entry["distances"][std::to_string(to.id.value)] = topology.distance(node.id, to.id);
    json["nodes"].push_back(std::move(entry));
  }
  json["nics"] = ordered_json::array();
  for (const numa::Nic& nic : topology.nics())
    json["nics"].push_back({{"name", nic.name},
                            {"kind", nic.kind},
                            {"node", nic.node ? ordered_json(nic.node->value) : ordered_json(nullptr)}});
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace holdfast::cli
