// What `holdfast topology` prints for machines that hwloc describes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/topology/topology_command.h"

namespace holdfast::cli {
namespace {

numa::Topology machine(std::string_view description) {
  auto topology = numa::Topology::from_synthetic(description);
  EXPECT_TRUE(topology) << topology.error().message();
  return *topology;
}

TEST(topology_text, draws_one_node) {
  EXPECT_EQ(topology_tree(machine("numa:1(memory=8GiB) core:2 pu:1")),
            "a described machine: 1 NUMA node, 2 processors, 8 GiB\n"
            "└─ node 0: processors 0-1, 8 GiB\n");
}

TEST(topology_text, draws_several_nodes_with_their_distances) {
  EXPECT_EQ(topology_tree(machine("numa:3(memory=4GiB) core:2 pu:2")),
            "a described machine: 3 NUMA nodes, 12 processors, 12 GiB\n"
            "├─ node 0: processors 0-3, 4 GiB\n"
            "│  └─ distance: 20 to node 1, 20 to node 2\n"
            "├─ node 1: processors 4-7, 4 GiB\n"
            "│  └─ distance: 20 to node 0, 20 to node 2\n"
            "└─ node 2: processors 8-11, 4 GiB\n"
            "   └─ distance: 20 to node 0, 20 to node 1\n");
}

TEST(topology_text, joins_processors_of_a_node_into_ranges) {
  // Two nodes whose processors alternate.
  const std::string tree = topology_tree(machine("numa:2(memory=1GiB) core:2 pu:2(indexes=0,1,4,6,2,3,5,7)"));
  EXPECT_NE(tree.find("node 0: processors 0-1,4,6, "), std::string::npos) << tree;
  EXPECT_NE(tree.find("node 1: processors 2-3,5,7, "), std::string::npos) << tree;
}

TEST(topology_text, says_the_same_as_json) {
  const auto json = nlohmann::json::parse(topology_json(machine("numa:2(memory=4GiB) core:1 pu:2")));
  const auto expected = nlohmann::json::parse(R"({
    "this_machine": false,
    "memory_bytes": 8589934592,
    "nodes": [
      {"id": 0, "processors": [0, 1], "memory_bytes": 4294967296, "huge_pages": [], "distances": {"0": 10, "1": 20}},
      {"id": 1, "processors": [2, 3], "memory_bytes": 4294967296, "huge_pages": [], "distances": {"0": 20, "1": 10}}
    ],
    "nics": []
  })");
  EXPECT_EQ(json, expected);
}

}  // namespace
}  // namespace holdfast::cli
