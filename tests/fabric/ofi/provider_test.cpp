// Which provider is chosen, and what the errors say where none can be.
#include <gtest/gtest.h>

#include <algorithm>

#include "holdfast/fabric/ofi.h"

namespace holdfast::fabric::test {

TEST(OfiProvider, TheFirstUsableCandidateIsTheOneThatIsOpened) {
  const auto candidates = probe_ofi({});
  ASSERT_TRUE(candidates.has_value());
  const auto first = std::find_if(candidates->begin(), candidates->end(),
                                  [](const OfiCandidate& candidate) { return candidate.usable; });
  ASSERT_NE(first, candidates->end());
  auto fabric = open_ofi({});
  ASSERT_TRUE(fabric.has_value()) << fabric.error().message();
  EXPECT_EQ((*fabric)->info().provider, first->info.provider);
  EXPECT_EQ((*fabric)->info().domain, first->info.domain);
  EXPECT_FALSE((*fabric)->info().reason.empty());
}

TEST(OfiProvider, UsableCandidatesComeBestFirst) {
  const auto candidates = probe_ofi({});
  ASSERT_TRUE(candidates.has_value());
  EXPECT_TRUE(std::is_partitioned(candidates->begin(), candidates->end(),
                                  [](const OfiCandidate& candidate) { return candidate.usable; }));
  const auto usable_end = std::find_if(candidates->begin(), candidates->end(),
                                       [](const OfiCandidate& candidate) { return !candidate.usable; });
  EXPECT_TRUE(std::is_partitioned(candidates->begin(), usable_end,
                                  [](const OfiCandidate& candidate) { return candidate.info.rdma; }));
  for (const OfiCandidate& candidate : *candidates) {
    EXPECT_FALSE(candidate.reason.empty()) << candidate.info.provider;
    if (!candidate.usable) continue;
    EXPECT_GT(candidate.info.best_read_bytes, 0u);
    EXPECT_GE(candidate.info.max_read_bytes, candidate.info.best_read_bytes);
    EXPECT_GE(candidate.info.best_depth, 1u);
  }
}

TEST(OfiProvider, LoopbackIsTakenOnlyWhereNothingElseIsUp) {
  const auto candidates = probe_ofi({.provider = "net", .interface = {}});
  ASSERT_TRUE(candidates.has_value());
  bool loopback_seen = false;
  for (const OfiCandidate& candidate : *candidates) {
    if (!candidate.usable) continue;
    if (candidate.info.domain == "lo") loopback_seen = true;
    EXPECT_TRUE(candidate.info.domain == "lo" || !loopback_seen) << candidate.info.domain;
  }
}

TEST(OfiProvider, DangerousProvidersAreNeverLookedAt) {
  for (const char* name : {"shm", "sockets", "udp", "udp;ofi_rxd", "net;ofi_rxm"}) {
    auto fabric = open_ofi({.provider = name, .interface = {}});
    ASSERT_FALSE(fabric.has_value()) << name;
    EXPECT_EQ(fabric.error().code, Code::unsupported);
    EXPECT_NE(fabric.error().detail.find("verbs;ofi_rxm"), std::string::npos)
        << "says what could be asked for: " << fabric.error().detail;
    EXPECT_TRUE(probe_ofi({.provider = name, .interface = {}})->empty());
  }
}

TEST(OfiProvider, AnInterfaceThatIsNotThereIsUnsupported) {
  auto fabric = open_ofi({.provider = {}, .interface = "nosuch7"});
  ASSERT_FALSE(fabric.has_value());
  EXPECT_EQ(fabric.error().code, Code::unsupported);
  EXPECT_NE(fabric.error().detail.find("nosuch7"), std::string::npos) << fabric.error().detail;
}

TEST(OfiProvider, AnInterfaceIsFoundByNameAndByAddress) {
  for (const char* interface : {"lo", "127.0.0.1"}) {
    auto fabric = open_ofi({.provider = {}, .interface = interface});
    ASSERT_TRUE(fabric.has_value()) << fabric.error().message();
    EXPECT_EQ((*fabric)->info().domain, "lo");
  }
}

TEST(OfiProvider, ReceiveDepthHasBounds) {
  auto fabric = open_ofi({});
  ASSERT_TRUE(fabric.has_value()) << fabric.error().message();
  for (const std::uint32_t depth : {0u, 4097u}) {
    auto endpoint = (*fabric)->open({.receive_depth = depth});
    ASSERT_FALSE(endpoint.has_value());
    EXPECT_EQ(endpoint.error().code, Code::invalid);
  }
  for (const std::uint32_t depth : {1u, 4096u}) EXPECT_TRUE((*fabric)->open({.receive_depth = depth}));
}

}  // namespace holdfast::fabric::test
