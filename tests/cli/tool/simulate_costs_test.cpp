// Where the figures of a forecast come from, and what is made of a topology.
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/simulate/costs.h"
#include "cli/simulate/layout.h"

namespace holdfast::cli::test {
namespace {

constexpr const char* kMeasured =
    R"({"format": 1, "machine": {"cores": 2, "provider": "net", "rdma": false}, "results": [
  {"what": "get_remote/8", "unit": "ns", "measured": 26000.0},
  {"what": "get_many/scattered", "unit": "/s", "measured": 125000.0},
  {"what": "get_remote/67108864", "unit": "B/s", "measured": 4e9},
  {"what": "put/1024/checksum", "unit": "B/s", "measured": 2e9},
  {"what": "put/1048576/checksum", "unit": "B/s", "measured": 8e9},
  {"what": "spill_restore/1MiB", "unit": "B/s", "measured": 1.5e9},
  {"what": "get_local/8/verified", "error": "it failed"}]})";

std::string source_of(const Costs& costs, const std::string& name) {
  const auto found = std::ranges::find(costs.figures, name, &CostFigure::name);
  return found == costs.figures.end() ? "nowhere" : found->source;
}

TEST(SimulateCosts, AreTakenFromTheFileAndTheRestIsDefault) {
  const auto costs = read_costs(kMeasured, std::nullopt, 1 << 20);
  ASSERT_TRUE(costs.has_value()) << costs.error().message();
  EXPECT_EQ(costs->fabric, FabricKind::tcp);
  EXPECT_EQ(costs->remote_get_ns, 26000);
  EXPECT_EQ(source_of(*costs, "get through the fabric, 8 B"), "get_remote/8");
  EXPECT_EQ(costs->disk_read_bytes_per_s, 1.5e9);
  EXPECT_EQ(source_of(*costs, "disk, reading"), "spill_restore/1MiB");
  EXPECT_EQ(source_of(*costs, "disk, writing"), "default");
  EXPECT_EQ(costs->work.put.of(1024), std::chrono::nanoseconds(512));
  EXPECT_EQ(costs->work.put.of(1 << 20), std::chrono::nanoseconds(131072));
  EXPECT_EQ(costs->work.put.of(2 << 20), std::chrono::nanoseconds(262144)) << "beyond, at the last rate";
  EXPECT_EQ(source_of(*costs, "get of an own object, 8 B"), "default") << "it could not be measured";
}

TEST(SimulateCosts, WithoutAFileAllAreDefaults) {
  const auto costs = read_costs(std::nullopt, FabricKind::tcp, 1 << 20);
  ASSERT_TRUE(costs.has_value());
  EXPECT_GT(costs->figures.size(), 10u);
  for (const CostFigure& figure : costs->figures) {
    EXPECT_EQ(figure.source, "default") << figure.name;
    EXPECT_GT(figure.value, 0) << figure.name;
  }
}

TEST(SimulateCosts, WhatIsNoCostsFileIsRefused) {
  for (const char* text : {"", "no JSON", "[]", "{}", R"({"results": 7})", R"({"benchmarks": []})"}) {
    const auto costs = read_costs(text, std::nullopt, 1);
    ASSERT_FALSE(costs.has_value()) << text;
    EXPECT_NE(costs.error().message().find("holdfast bench --json"), std::string::npos);
  }
  const auto empty = read_costs(
      R"({"format": 1, "results": [{"what": "open/from_call", "measured": 1.0}, 7]})", std::nullopt, 1);
  ASSERT_FALSE(empty.has_value());
  EXPECT_NE(empty.error().message().find("none of the figures"), std::string::npos);
}

TEST(SimulateCosts, FiguresOfAnotherVersionOrOfNoMachineAreRefused) {
  for (const auto& [text, said] :
       {std::pair(R"({"results": [{"what": "get_remote/8", "measured": 900}]})", "another version"),
        std::pair(R"({"format": 2, "results": [{"what": "get_remote/8", "measured": 900}]})",
                  "another version"),
        std::pair(R"({"format": 1, "results": [{"what": "get_remote/8", "measured": 1e300}]})",
                  "get_remote/8"),
        std::pair(R"({"format": 1, "results": [{"what": "put/8/checksum", "measured": 1e-300}]})",
                  "put/8")}) {
    const auto costs = read_costs(text, std::nullopt, 1);
    ASSERT_FALSE(costs.has_value()) << text;
    EXPECT_NE(costs.error().message().find(said), std::string::npos) << costs.error().message();
  }
}

/// What a read of `bytes` takes on an idle simulated network between two hosts of a rack.
double read_ns(const sim::NetworkOptions& options, std::uint64_t bytes) {
  const sim::LinkCost& link = options.same_rack;
  const bool tcp = options.one_sided_needs_target;
  const Duration fixed = (tcp ? 3 : 2) * link.overhead + 2 * link.latency + (tcp ? 2 : 1) * options.reaction;
  return static_cast<double>(fixed.count()) +
         static_cast<double>(bytes) / static_cast<double>(link.bytes_per_second) * 1e9;
}

TEST(SimulateCosts, AnIdleNetworkTakesAsLongAsWasMeasured) {
  for (const FabricKind fabric : {FabricKind::tcp, FabricKind::rdma})
    for (const char* const text :
         {kMeasured, R"({"format": 1, "results": [{"what": "get_remote/8", "measured": 900}]})"}) {
      auto costs = read_costs(text, fabric, 1 << 20);
      ASSERT_TRUE(costs.has_value());
      const sim::NetworkOptions network = network_of(*costs, {});
      EXPECT_NEAR(read_ns(network, 0), costs->remote_get_ns, 5);
      EXPECT_NEAR(static_cast<double>(network.same_rack.bytes_per_second), costs->remote_bytes_per_s, 1);
      EXPECT_GE(network.same_rack.processor_bytes_per_second, network.same_rack.bytes_per_second);
    }
}

TEST(SimulateCosts, LinksAreAsTheUserSays) {
  auto costs = read_costs(kMeasured, std::nullopt, 1 << 20);
  const sim::NetworkOptions network = network_of(*costs, {.link_bytes_per_s = 10e9,
                                                          .latency_ns = 5000,
                                                          .core_latency_ns = 2000,
                                                          .oversubscription = 4,
                                                          .hosts_per_rack = 8,
                                                          .cores = 16});
  EXPECT_EQ(network.same_rack.bytes_per_second, 10'000'000'000u);
  EXPECT_EQ(network.rack_bytes_per_second, 20'000'000'000u);
  EXPECT_EQ(network.same_rack.latency, std::chrono::nanoseconds(5000));
  EXPECT_EQ(network.across_racks.latency, std::chrono::nanoseconds(7000));
  EXPECT_EQ(network.cores_per_host, 16u);
  EXPECT_EQ(source_of(*costs, "bandwidth of a host's link"), "option");
  // A get over a longer wire takes longer than measured, by just that.
  EXPECT_NEAR(read_ns(network, 0), 26000 + 2 * (5000 - 1000), 5);
}

TEST(SimulateLayout, IsReadInBothForms) {
  const auto short_form = parse_layout("4x8");
  ASSERT_TRUE(short_form.has_value());
  EXPECT_EQ(short_form->hosts, 4u);
  EXPECT_EQ(short_form->per_host, 8u);
  EXPECT_EQ(short_form->places(), 32u);
  const auto keys = parse_layout("hosts=10,per-host=4,racks=3,oversubscription=2.5,cores=64");
  ASSERT_TRUE(keys.has_value()) << keys.error().message();
  EXPECT_EQ(keys->hosts_per_rack(), 4u) << "of the fullest";
  EXPECT_EQ(keys->oversubscription, 2.5);
  EXPECT_EQ(keys->cores, 64u);
}

TEST(SimulateLayout, NamesTheWordThatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {{"many", "\"many\""},
                                                       {"4x", "per-host"},
                                                       {"0x4", "hosts"},
                                                       {"4x8x2", "per-host"},
                                                       {"hosts=2,nodes=3", "nodes"},
                                                       {"hosts=2,racks", "\"racks\""},
                                                       {"hosts=-1", "hosts"},
                                                       {"hosts=2,racks=3", "3 racks"},
                                                       {"hosts=2,oversubscription=2", "in one"},
                                                       {"oversubscription=0", "oversubscription"},
                                                       {"", "topology"}};
  for (const auto& [text, word] : cases) {
    const auto layout = parse_layout(text);
    ASSERT_FALSE(layout.has_value()) << text;
    EXPECT_NE(layout.error().message().find(word), std::string::npos) << layout.error().message();
  }
}

}  // namespace
}  // namespace holdfast::cli::test
