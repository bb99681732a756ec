// What can go wrong, and that every operation ends all the same.
#include <algorithm>
#include <deque>

#include "tests/fabric/sim/cluster.h"

namespace holdfast::sim::test {
namespace {

constexpr Duration kDetection = 50ms;

NetworkOptions detecting() {
  NetworkOptions out = round_figures();
  out.detection_time = kDetection;
  return out;
}

NetworkOptions over_tcp() {
  NetworkOptions out = detecting();
  out.one_sided_needs_target = true;
  return out;
}

/// Three hosts; 0 is connected to 1 and to 2, and the other way round; 1 and 2 have exposed memory.
class SimFaults : public testing::TestWithParam<bool> {
 protected:
  SimFaults() : cluster_(3, GetParam() ? over_tcp() : detecting()) {
    for (std::uint32_t owner : {1u, 2u}) remote_[owner] = cluster_.expose(owner, memory_);
    Ended ended[4];
    cluster_.send(0, 1, 0, ended[0]);
    cluster_.send(0, 2, 0, ended[1]);
    cluster_.send(1, 0, 0, ended[2]);
    cluster_.send(2, 0, 0, ended[3]);
    cluster_.run_for(1ms);
    for (const Ended& one : ended) EXPECT_TRUE(one.ok());
    for (auto& node : cluster_.nodes) node.received.clear();
  }
  void read(std::uint32_t owner, Ended& ended, Duration timeout = 1h) {
    ended.then = [&] { ended_at_ = cluster_.timeline.now(); };
    cluster_.read(0, owner, remote_[owner], into_, ended, timeout);
  }
  bool tcp() const { return GetParam(); }
  std::span<const HostId> host(std::uint32_t index) { return {&cluster_.nodes[index].host, 1}; }

  std::vector<std::byte> memory_ = std::vector<std::byte>(100'000, std::byte{7});
  std::vector<std::byte> into_ = std::vector<std::byte>(100'000);
  RemoteMemory remote_[3];
  TimePoint ended_at_;
  Cluster cluster_;
};

TEST_P(SimFaults, AStoppedProcessDoesNothingUntilItIsResumed) {
  cluster_.network.stop(cluster_.process(1));
  Ended &sent = cluster_.ended(), &got = cluster_.ended();
  cluster_.send(0, 1, 5, sent);
  read(1, got);
  cluster_.run_for(10s);
  EXPECT_TRUE(cluster_.nodes[1].received.empty());
  EXPECT_TRUE(sent.ok()) << "the kernel, or the NIC, has taken it";
  EXPECT_EQ(got.ended(), !tcp()) << "RDMA does not need the process";
  cluster_.network.resume(cluster_.process(1));
  cluster_.run_for(1ms);
  EXPECT_EQ(cluster_.nodes[1].received, (std::vector<std::uint32_t>{5}));
  EXPECT_TRUE(got.ok()) << got.message();
  EXPECT_EQ(into_, memory_);
}

TEST_P(SimFaults, AProcessStoppedInTheMiddleOfAReadGoesOnLater) {
  Ended& got = cluster_.ended();
  read(1, got);
  cluster_.run_for(50us);
  ASSERT_EQ(into_[0], std::byte{7});
  ASSERT_EQ(into_.back(), std::byte{0});
  cluster_.network.stop(cluster_.process(1));
  cluster_.run_for(10ms);
  EXPECT_EQ(got.ended(), !tcp());
  cluster_.network.resume(cluster_.process(1));
  cluster_.run_for(10ms);
  EXPECT_TRUE(got.ok());
  EXPECT_EQ(into_, memory_);
}

TEST_P(SimFaults, ACrashEndsReadsUnderWayAtOnceWithOwnerLost) {
  Ended &got = cluster_.ended(), &bystander = cluster_.ended();
  read(1, got);
  cluster_.run_for(50us);
  std::vector<std::byte> other(100);
  cluster_.read(0, 2, remote_[2], other, bystander);
  const TimePoint crashed = cluster_.timeline.now();
  cluster_.network.crash(cluster_.process(1));
  cluster_.nodes[1].endpoint.reset();
  cluster_.run_for(1ms);
  ASSERT_EQ(got.calls, 1);
  EXPECT_EQ(got.code(), Code::owner_lost);
  EXPECT_LE(ended_at_ - crashed, 10us) << "its host resets the connection";
  EXPECT_TRUE(bystander.ok()) << bystander.message();
  Ended& later = cluster_.ended();
  read(1, later);
  cluster_.run_for(1ms);
  ASSERT_TRUE(later.ended());
  EXPECT_EQ(later.code(), Code::owner_lost) << "nobody listens";
}

TEST_P(SimFaults, ALostHostIsNoticedAfterTheDetectionTime) {
  Ended& got = cluster_.ended();
  read(1, got);
  cluster_.run_for(50us);
  const TimePoint crashed = cluster_.timeline.now();
  cluster_.network.crash(cluster_.host(1));
  cluster_.run_for(1s);
  ASSERT_EQ(got.calls, 1);
  EXPECT_EQ(got.code(), Code::owner_lost);
  EXPECT_EQ(ended_at_ - crashed, kDetection);
}

TEST_P(SimFaults, ADeadlineBeforeTheDetectionTimeEndsTheRead) {
  Ended& got = cluster_.ended();
  const TimePoint start = cluster_.timeline.now();
  read(1, got, 20ms);
  cluster_.run_for(50us);
  cluster_.network.crash(cluster_.host(1));
  cluster_.run_for(1s);
  ASSERT_EQ(got.calls, 1);
  EXPECT_EQ(got.code(), Code::timed_out);
  EXPECT_EQ(ended_at_ - start, 20ms);
  EXPECT_EQ(cluster_[0].stats().quarantined, 0u) << "given up by now";
}

TEST_P(SimFaults, AHostThatComesBackResetsWhatItDoesNotKnow) {
  Ended& got = cluster_.ended();
  read(1, got);
  cluster_.run_for(50us);
  cluster_.network.crash(cluster_.host(1));
  cluster_.run_for(10ms);
  EXPECT_FALSE(got.ended());
  cluster_.network.restart(cluster_.host(1));
  cluster_.run_for(1ms);
  ASSERT_TRUE(got.ended());
  EXPECT_EQ(got.code(), Code::owner_lost);
}

TEST_P(SimFaults, WhatACrashedProcessHadToSendAgainIsForgotten) {
  cluster_.network.partition(host(0), host(1));
  Ended& sent = cluster_.ended();
  cluster_.send(0, 1, 5, sent);
  cluster_.run_for(1ms);
  EXPECT_TRUE(sent.ok());
  cluster_.network.crash(cluster_.host(0));
  cluster_.network.restart(cluster_.host(0));
  cluster_.network.heal();
  cluster_.run_for(1s);
  EXPECT_TRUE(cluster_.nodes[1].received.empty());
}

TEST_P(SimFaults, AnAnswerOfAnOwnerThatCrashedMeanwhileIsOwnerLost) {
  Ended& got = cluster_.ended();
  read(1, got);
  cluster_.run_for(102us);  // the last byte has left
  ASSERT_EQ(into_, memory_);
  cluster_.network.partition(host(0), host(1));
  cluster_.run_for(1ms);
  cluster_.network.crash(cluster_.process(1));
  cluster_.run_for(1ms);
  EXPECT_FALSE(got.ended());
  cluster_.network.heal();
  cluster_.run_for(1ms);
  ASSERT_EQ(got.calls, 1);
  EXPECT_EQ(got.code(), Code::owner_lost);
}

TEST_P(SimFaults, ARestartedProcessHasItsOldAddressAndNewKeys) {
  const fabric::Address before = cluster_[1].address();
  cluster_.network.crash(cluster_.process(1));
  EXPECT_FALSE(cluster_.network.fabric(cluster_.process(1)).open({}).has_value());
  cluster_.network.restart(cluster_.process(1));
  cluster_.open(1);
  EXPECT_EQ(cluster_[1].address(), before);
  const RemoteMemory old = remote_[1];
  remote_[1] = cluster_.expose(1, memory_);
  EXPECT_NE(remote_[1].key, old.key);
  cluster_.run_for(1ms);  // the reset of the old connection has come through
  Ended &got = cluster_.ended(), &stale = cluster_.ended();
  read(1, got);
  cluster_.run_for(1ms);
  EXPECT_TRUE(got.ok()) << got.message();
  cluster_.read(0, 1, old, into_, stale);
  cluster_.run_for(1ms);
  ASSERT_TRUE(stale.ended());
  EXPECT_EQ(stale.code(), Code::denied);
}

TEST_P(SimFaults, TheCrashedOnesOwnOperationsWriteNothingMore) {
  Ended& got = cluster_.ended();
  auto into = std::make_unique<std::vector<std::byte>>(100'000);
  cluster_.read(0, 1, remote_[1], *into, got);
  cluster_.run_for(50us);
  cluster_.network.crash(cluster_.process(0));
  cluster_.run_for(1ms);
  EXPECT_FALSE(got.ended()) << "nobody is there to be told";
  EXPECT_EQ(into->back(), std::byte{0});
  into.reset();  // the sanitizer watches
  cluster_.run_for(1s);
  cluster_.nodes[0].endpoint.reset();
  EXPECT_EQ(got.calls, 1);
  EXPECT_EQ(got.code(), Code::timed_out);
}

TEST_P(SimFaults, APartitionHoldsEverythingUntilItHeals) {
  cluster_.network.partition(host(0), host(1));
  Ended &got = cluster_.ended(), &sent = cluster_.ended(), &back = cluster_.ended(),
        &bystander = cluster_.ended();
  read(1, got);
  cluster_.send(0, 1, 5, sent);
  cluster_.send(1, 0, 6, back);
  cluster_.send(2, 0, 7, bystander);
  cluster_.run_for(10ms);
  EXPECT_FALSE(got.ended());
  EXPECT_TRUE(cluster_.nodes[1].received.empty());
  EXPECT_EQ(cluster_.nodes[0].received, (std::vector<std::uint32_t>{7}));
  cluster_.network.heal(host(1), host(0));
  cluster_.run_for(10ms);
  EXPECT_TRUE(got.ok()) << got.message();
  EXPECT_EQ(into_, memory_);
  EXPECT_EQ(cluster_.nodes[1].received, (std::vector<std::uint32_t>{5}));
  EXPECT_EQ(cluster_.nodes[0].received, (std::vector<std::uint32_t>{7, 6}));
}

TEST_P(SimFaults, APartitionInTheMiddleOfAReadIsSurvived) {
  Ended& got = cluster_.ended();
  read(1, got);
  cluster_.run_for(50us);
  cluster_.network.partition(host(0), host(1));
  cluster_.run_for(10ms);
  EXPECT_FALSE(got.ended());
  EXPECT_EQ(into_.back(), std::byte{0});
  cluster_.network.heal();
  cluster_.run_for(10ms);
  EXPECT_TRUE(got.ok());
  EXPECT_EQ(into_, memory_);
}

TEST_P(SimFaults, ALongPartitionIsOwnerLostAndConnectsAnewAfter) {
  cluster_.network.partition(host(0), host(1));
  Ended &got = cluster_.ended(), &again = cluster_.ended(), &after = cluster_.ended();
  const TimePoint start = cluster_.timeline.now();
  read(1, got);
  cluster_.run_for(1s);
  ASSERT_EQ(got.calls, 1);
  EXPECT_EQ(got.code(), Code::owner_lost);
  EXPECT_LE(ended_at_ - start, kDetection + 10us);
  read(1, again);
  cluster_.run_for(1s);
  ASSERT_EQ(again.calls, 1);
  EXPECT_EQ(again.code(), Code::owner_lost) << "it cannot be connected to";
  cluster_.network.heal();
  read(1, after);
  cluster_.run_for(1ms);
  EXPECT_TRUE(after.ok()) << after.message();
}

TEST_P(SimFaults, APathCutInOneDirectionLetsTheOtherPass) {
  cluster_.network.cut(host(1), host(0));  // 0 is not heard from, but heard
  Ended &sent = cluster_.ended(), &back = cluster_.ended(), &got = cluster_.ended();
  cluster_.send(0, 1, 5, sent);
  cluster_.send(1, 0, 6, back);
  read(1, got);
  cluster_.run_for(10ms);
  EXPECT_EQ(cluster_.nodes[1].received, (std::vector<std::uint32_t>{5}));
  EXPECT_TRUE(cluster_.nodes[0].received.empty());
  EXPECT_FALSE(got.ended()) << "asked, and the answer does not come";
  cluster_.run_for(1s);
  ASSERT_TRUE(got.ended());
  EXPECT_EQ(got.code(), Code::owner_lost);
  cluster_.network.heal();
  cluster_.run_for(10ms);
  Ended& again = cluster_.ended();
  read(1, again);
  cluster_.run_for(10ms);
  EXPECT_TRUE(again.ok()) << again.message();
}

TEST_P(SimFaults, ABrokenConnectionLosesWhatIsOnIt) {
  Ended &got = cluster_.ended(), &sent = cluster_.ended(), &back = cluster_.ended();
  read(1, got);
  cluster_.send(0, 1, 5, sent);
  cluster_.send(1, 0, 6, back);
  cluster_.run_for(900ns);  // sent, and not arrived
  EXPECT_TRUE(sent.ok() && back.ok()) << "told as sent";
  cluster_.network.break_connections(cluster_.process(0), cluster_.process(1));
  cluster_.run_for(10ms);
  ASSERT_EQ(got.calls, 1);
  EXPECT_EQ(got.code(), Code::owner_lost);
  EXPECT_TRUE(cluster_.nodes[0].received.empty() && cluster_.nodes[1].received.empty()) << "and lost";
  Ended& again = cluster_.ended();
  read(1, again);
  cluster_.run_for(10ms);
  EXPECT_TRUE(again.ok()) << again.message();
}

TEST_P(SimFaults, ASlowProcessStillAnswers) {
  cluster_.network.slow(cluster_.process(1), 1000);
  Ended& got = cluster_.ended();
  read(1, got);
  cluster_.run_for(10ms);
  EXPECT_TRUE(got.ok()) << got.message();
}

TEST_P(SimFaults, WhateverHappensEveryOperationEndsOnceByItsDeadline) {
  constexpr std::uint32_t kHosts = 6;
  constexpr Duration kTimeout = 5ms;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    NetworkOptions options = tcp() ? over_tcp() : detecting();
    options.same_rack.jitter = options.across_racks.jitter = 20us;
    options.detection_time = 3ms;
    options.max_posted_to_peer = 8;
    struct Tracked {
      Ended ended;
      TimePoint by, at;
      std::vector<std::byte> into = std::vector<std::byte>(20'000);
      bool lost = false;  ///< its process has crashed
      std::uint32_t from = 0;
    };
    std::deque<Tracked> all;  // outlives what may still write it
    Cluster cluster(kHosts, options, seed);
    Random random(seed);
    std::vector<RemoteMemory> remote;
    for (std::uint32_t i = 0; i < kHosts; ++i) remote.push_back(cluster.expose(i, memory_));
    std::vector<bool> stopped(kHosts);
    for (int step = 0; step < 400; ++step) {
      const auto a = static_cast<std::uint32_t>(random.below(kHosts));
      const auto b = static_cast<std::uint32_t>(random.below(kHosts));
      const HostId one[] = {cluster.host(a)}, other[] = {cluster.host(b)};
      const std::uint64_t what = random.below(30);
      if (what == 0) cluster.network.partition(one, other);
      if (what == 1) cluster.network.cut(one, other);
      if (what == 2 || what == 3) cluster.network.heal();
      if (what == 4) cluster.network.break_connections(cluster.process(a), cluster.process(b));
      if (what == 5) cluster.network.stop(cluster.process(a));
      if (what == 6 || what == 7) cluster.network.resume(cluster.process(a));
      if (what == 8 || what == 9) {
        what == 8 ? cluster.network.crash(cluster.process(a)) : cluster.network.crash(cluster.host(a));
        for (Tracked& one_of : all) one_of.lost |= one_of.from == a;
        cluster.run_for(random.up_to(2ms));
        cluster.nodes[a].endpoint.reset();
        if (what == 9) cluster.network.restart(cluster.host(a));
        cluster.network.restart(cluster.process(a));
        cluster.open(a);
        remote[a] = cluster.expose(a, memory_);
      }
      if (what > 9) {
        Tracked& tracked = all.emplace_back();
        tracked.from = a;
        tracked.by = cluster.timeline.now() + kTimeout;
        tracked.ended.then = [&] { tracked.at = cluster.timeline.now(); };
        if (what % 2 == 0)
          cluster.read(a, b, remote[b], tracked.into, tracked.ended, kTimeout);
        else
          cluster.send(a, b, static_cast<std::uint32_t>(step), tracked.ended, 1000, kTimeout);
      }
      for (std::uint32_t i = 0; i < kHosts; ++i)
        stopped[i] = stopped[i] || cluster.network.stopped(cluster.process(i));
      cluster.run_for(random.up_to(200us));
    }
    for (std::uint32_t i = 0; i < kHosts; ++i)
      if (cluster.network.stopped(cluster.process(i))) cluster.network.resume(cluster.process(i));
    cluster.run_for(kTimeout + 1ms);
    for (const Tracked& tracked : all) {
      ASSERT_EQ(tracked.ended.calls, 1) << "seed " << seed;
      if (tracked.lost || stopped[tracked.from]) continue;
      ASSERT_LE(tracked.at, tracked.by) << "seed " << seed;
    }
    for (std::uint32_t i = 0; i < kHosts; ++i) {
      cluster.network.heal();
      cluster.run_for(100ms);
      ASSERT_EQ(cluster[i].stats().quarantined, 0u) << "seed " << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sim, SimFaults, testing::Values(false, true),
                         [](const auto& shape) { return shape.param ? "tcp" : "rdma"; });

}  // namespace
}  // namespace holdfast::sim::test
