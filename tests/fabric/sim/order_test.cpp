// Order and room: within a pair kept, between pairs not; senders held up by receivers.
#include <algorithm>
#include <deque>

#include "tests/fabric/sim/cluster.h"

namespace holdfast::sim::test {
namespace {

NetworkOptions jittery() {
  NetworkOptions out = round_figures();
  out.same_rack.jitter = out.across_racks.jitter = 20us;
  out.across_racks.straggler_one_in = 10;
  out.across_racks.straggle = 500us;
  return out;
}

TEST(SimOrder, WithinAPairIsKept) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Cluster cluster(3, jittery(), seed);
    std::deque<Ended> ended(300);
    for (std::uint32_t i = 0; i < ended.size(); ++i) {
      cluster.send(0, 2, i, ended[i]);
      cluster.run_for(700ns);
    }
    cluster.run_for(10ms);
    const auto& received = cluster.nodes[2].received;
    ASSERT_EQ(received.size(), ended.size()) << "seed " << seed;
    EXPECT_TRUE(std::is_sorted(received.begin(), received.end())) << "seed " << seed;
  }
}

TEST(SimOrder, BetweenPairsIsNot) {
  // Two senders in turn, 1 us apart: with 20 us of jitter some overtake.
  Cluster cluster(4, jittery());
  std::deque<Ended> ended(200);
  Ended warm[2];
  cluster.send(0, 2, 0, warm[0]);
  cluster.send(1, 2, 0, warm[1]);
  cluster.run_for(10ms);
  cluster.nodes[2].received.clear();
  for (std::uint32_t i = 0; i < ended.size(); ++i) {
    cluster.send(i % 2, 2, i, ended[i]);
    cluster.run_for(1us);
  }
  cluster.run_for(10ms);
  const auto& received = cluster.nodes[2].received;
  ASSERT_EQ(received.size(), ended.size());
  EXPECT_FALSE(std::is_sorted(received.begin(), received.end()));
  for (const std::uint32_t sender : {0u, 1u}) {
    std::vector<std::uint32_t> of_sender;
    std::copy_if(received.begin(), received.end(), std::back_inserter(of_sender),
                 [&](std::uint32_t number) { return number % 2 == sender; });
    EXPECT_TRUE(std::is_sorted(of_sender.begin(), of_sender.end()));
  }
}

TEST(SimOrder, IsKeptWhereThePathHeals) {
  Cluster cluster(3, jittery());
  std::deque<Ended> ended(100);
  const HostId here[] = {cluster.host(0)}, there[] = {cluster.host(2)};
  for (std::uint32_t i = 0; i < ended.size(); ++i) {
    if (i % 20 == 5) cluster.network.cut(here, there);
    if (i % 20 == 15) cluster.network.heal();
    cluster.send(0, 2, i, ended[i]);
    cluster.run_for(3us);
  }
  cluster.run_for(10ms);
  const auto& received = cluster.nodes[2].received;
  ASSERT_EQ(received.size(), ended.size());
  EXPECT_TRUE(std::is_sorted(received.begin(), received.end()));
  EXPECT_GT(cluster.network.stats().packets_parked, 10u);
}

TEST(SimOrder, AReceiverThatDoesNotPollHoldsItsSendersUp) {
  NetworkOptions options = round_figures();
  options.max_posted_to_peer = 16;
  Cluster cluster(2, options);
  cluster.open(1, {.receive_depth = 4});
  std::deque<Ended> ended(100);
  cluster.network.stop(cluster.process(1));
  for (std::uint32_t i = 0; i < ended.size(); ++i) cluster.send(0, 1, i, ended[i]);
  cluster.run_for(10ms);
  const auto done = [&] {
    return std::count_if(ended.begin(), ended.end(), [](const Ended& one) { return one.ok(); });
  };
  EXPECT_EQ(done(), 16 + 4) << "four in slots have made room for four more; the rest waits in the sender";
  cluster.network.resume(cluster.process(1));
  cluster.run_for(10ms);
  EXPECT_EQ(done(), 100);
  EXPECT_EQ(cluster.nodes[1].received.size(), 100u);
}

TEST(SimOrder, ABrokenConnectionGivesTheSlotsItHeldBack) {
  Cluster cluster(2);
  cluster.open(1, {.receive_depth = 2});
  std::deque<Ended> lost(5), after(5);
  cluster.network.slow(cluster.process(1), 10'000);  // 3 ms until a message in its slot is seen
  for (std::uint32_t i = 0; i < lost.size(); ++i) cluster.send(0, 1, i, lost[i]);
  cluster.run_for(1ms);
  ASSERT_TRUE(cluster.nodes[1].received.empty());
  cluster.network.break_connections(cluster.process(0), cluster.process(1));
  for (std::uint32_t i = 0; i < after.size(); ++i) cluster.send(0, 1, 10 + i, after[i]);
  cluster.run_for(1s);
  EXPECT_EQ(cluster.nodes[1].received, (std::vector<std::uint32_t>{10, 11, 12, 13, 14}));
}

TEST(SimOrder, MoreThanMayWaitCompletesWithFull) {
  Cluster cluster(2);
  Ended& warm = cluster.ended();
  cluster.send(0, 1, 0, warm);
  cluster.run_for(1ms);
  cluster.network.stop(cluster.process(1));
  cluster.network.limit_queues(cluster.process(0), 10);
  std::deque<Ended> ended(300);
  for (std::uint32_t i = 0; i < ended.size(); ++i) cluster.send(0, 1, i, ended[i]);
  cluster.run_for(1ms);
  const auto full = [&] {
    return std::count_if(ended.begin(), ended.end(), [](const Ended& one) {
      return one.ended() && !one.ok() && one.code() == Code::full;
    });
  };
  EXPECT_EQ(full(), 300 - 128 - 10) << "128 are with the network, 10 may wait";
  cluster.network.resume(cluster.process(1));
  cluster.run_for(1ms);
  EXPECT_EQ(cluster.nodes[1].received.size(), 1u + 128 + 10);
  Ended& after = cluster.ended();
  cluster.send(0, 1, 1, after);
  cluster.run_for(1ms);
  EXPECT_TRUE(after.ok()) << after.message();
}

}  // namespace
}  // namespace holdfast::sim::test
