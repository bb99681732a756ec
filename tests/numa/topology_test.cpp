#include "holdfast/numa/topology.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace holdfast::numa {
namespace {

std::string fixture(std::string_view name) {
  return std::string(HOLDFAST_NUMA_FIXTURES "/") + std::string(name);
}

std::vector<std::uint32_t> values(const std::vector<NodeId>& nodes) {
  std::vector<std::uint32_t> plain;
  for (const NodeId node : nodes) plain.push_back(node.value);
  return plain;
}

const Nic* find_nic(const Topology& topology, std::string_view name) {
  for (const Nic& nic : topology.nics()) {
    if (nic.name == name) return &nic;
  }
  return nullptr;
}

TEST(Topology, finds_this_machine) {
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology) << topology.error().message();
  EXPECT_TRUE(topology->is_this_machine());
  ASSERT_FALSE(topology->nodes().empty());
  EXPECT_GT(topology->memory_bytes(), 0U);
  EXPECT_TRUE(std::is_sorted(topology->nodes().begin(), topology->nodes().end(),
                             [](const Node& a, const Node& b) { return a.id < b.id; }));
}

TEST(Topology, knows_the_node_of_the_calling_thread) {
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology);
  cpu_set_t former;
  ASSERT_EQ(::sched_getaffinity(0, sizeof former, &former), 0);
  for (const Node& node : topology->nodes()) {
    for (const std::uint32_t cpu : node.cpus) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      if (::sched_setaffinity(0, sizeof one, &one) != 0) continue;
      EXPECT_EQ(topology->current_node(), topology->node_of_cpu(cpu));
    }
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof former, &former), 0);
}

TEST(Topology, reads_huge_pages_of_this_machine) {
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology);
  if (::access("/sys/devices/system/node/node0/hugepages", R_OK) != 0)
    GTEST_SKIP() << "this kernel has no hugetlb";
  const Node* const node = topology->find(NodeId{0});
  ASSERT_NE(node, nullptr);
  ASSERT_FALSE(node->huge_pages.empty());
  for (const HugePages& pages : node->huge_pages) EXPECT_LE(pages.free, pages.total);
}

TEST(Topology, reads_a_synthetic_machine) {
  const auto topology = Topology::from_synthetic("numa:4(memory=1073741824) core:2 pu:2");
  ASSERT_TRUE(topology) << topology.error().message();
  EXPECT_FALSE(topology->is_this_machine());
  ASSERT_EQ(topology->nodes().size(), 4U);
  EXPECT_EQ(topology->memory_bytes(), 4ULL << 30);
  for (std::uint32_t i = 0; i < 4; ++i) {
    const Node* const node = topology->find(NodeId{i});
    ASSERT_NE(node, nullptr);
    EXPECT_EQ(node->cpus, (std::vector<std::uint32_t>{4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3}));
    EXPECT_TRUE(node->huge_pages.empty());
    for (const std::uint32_t cpu : node->cpus) EXPECT_EQ(topology->node_of_cpu(cpu), node->id);
  }
  EXPECT_EQ(topology->find(NodeId{4}), nullptr);
  EXPECT_EQ(topology->node_of_cpu(99), NodeId{0});
}

TEST(Topology, takes_ten_and_twenty_where_no_distances_are_given) {
  const auto topology = Topology::from_synthetic("numa:4 core:1 pu:1");
  ASSERT_TRUE(topology);
  for (std::uint32_t i = 0; i < 4; ++i) {
    for (std::uint32_t j = 0; j < 4; ++j) {
      EXPECT_EQ(topology->distance(NodeId{i}, NodeId{j}), i == j ? kLocalDistance : kRemoteDistance);
    }
  }
  EXPECT_EQ(values(topology->nearest_with_memory(NodeId{2})), (std::vector<std::uint32_t>{2, 0, 1, 3}));
}

TEST(Topology, refuses_a_description_that_is_none) {
  const auto topology = Topology::from_synthetic("four nodes, please");
  ASSERT_FALSE(topology);
  EXPECT_EQ(topology.error().code, Code::invalid);
  EXPECT_NE(topology.error().detail.find("numa:4"), std::string::npos) << "shows how it should look";
}

TEST(Topology, reads_distances_from_xml) {
  const auto topology = Topology::from_xml_file(fixture("four_nodes.xml"));
  ASSERT_TRUE(topology) << topology.error().message();
  EXPECT_FALSE(topology->is_this_machine());
  ASSERT_EQ(topology->nodes().size(), 4U);
  EXPECT_EQ(topology->distance(NodeId{0}, NodeId{0}), 10U);
  EXPECT_EQ(topology->distance(NodeId{0}, NodeId{1}), 12U);
  EXPECT_EQ(topology->distance(NodeId{0}, NodeId{2}), 20U);
  EXPECT_EQ(topology->distance(NodeId{2}, NodeId{1}), 32U);
  EXPECT_EQ(values(topology->nearest_with_memory(NodeId{0})), (std::vector<std::uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(values(topology->nearest_with_memory(NodeId{3})), (std::vector<std::uint32_t>{3, 2, 1, 0}));
}

TEST(Topology, knows_the_node_each_nic_hangs_on) {
  const auto topology = Topology::from_xml_file(fixture("four_nodes.xml"));
  ASSERT_TRUE(topology);
  struct Expected {
    std::string_view name, kind;
    std::optional<NodeId> node;
  };
  const std::vector<Expected> all = {
      {"eth0", "ethernet", NodeId{0}},     {"mlx5_0", "infiniband", NodeId{2}},
      {"ib0", "infiniband", NodeId{2}},    {"eth1", "ethernet", std::nullopt},  // its bus hangs on all nodes
      {"bond0", "ethernet", std::nullopt}, {"lo", "other", std::nullopt},       // no bus carries these
  };
  EXPECT_EQ(topology->nics().size(), all.size());
  for (const Expected& expected : all) {
    const Nic* const nic = find_nic(*topology, expected.name);
    ASSERT_NE(nic, nullptr) << expected.name;
    EXPECT_EQ(nic->kind, expected.kind) << expected.name;
    EXPECT_EQ(nic->node, expected.node) << expected.name;
  }
}

// Node 0 has processors and memory, node 2 memory alone, node 5 processors alone.
TEST(Topology, tells_nodes_without_memory_or_processors) {
  const auto topology = Topology::from_xml_file(fixture("uneven_nodes.xml"));
  ASSERT_TRUE(topology) << topology.error().message();
  ASSERT_EQ(topology->nodes().size(), 3U);
  EXPECT_TRUE(topology->find(NodeId{2})->cpus.empty());
  EXPECT_EQ(topology->find(NodeId{5})->memory_bytes, 0U);
  EXPECT_EQ(topology->node_of_cpu(1), NodeId{5});
  EXPECT_EQ(values(topology->nearest_with_memory(NodeId{5})), (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(values(topology->nearest_with_memory(NodeId{2})), (std::vector<std::uint32_t>{2, 0}));
}

TEST(Topology, tells_a_missing_file_from_a_wrong_one) {
  const auto missing = Topology::from_xml_file(fixture("no_such.xml"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  const auto wrong = Topology::from_xml_file(fixture("CMakeLists.txt"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::invalid);
}

TEST(Topology, copies_share_one_snapshot) {
  const auto topology = Topology::from_synthetic("numa:2 core:1 pu:1");
  ASSERT_TRUE(topology);
  const Topology copy = *topology;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_EQ(&copy.nodes(), &topology->nodes());
}

}  // namespace
}  // namespace holdfast::numa
