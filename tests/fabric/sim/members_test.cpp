// How members run: waiting in virtual time, and being called when there is something to do.
#include <deque>

#include "tests/fabric/sim/cluster.h"

namespace holdfast::sim::test {
namespace {

TEST(SimWait, RunsTimeUntilSomethingHappens) {
  Cluster cluster(2);
  std::vector<std::byte> memory(1000, std::byte{3}), into(1000);
  const RemoteMemory remote = cluster.expose(1, memory);
  Ended& ended = cluster.ended();
  cluster.read(0, 1, remote, into, ended);
  EXPECT_EQ(cluster[0].wait(Deadline::never(), 0ns), 1u);
  EXPECT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(into, memory);
}

TEST(SimWait, ReturnsAtItsDeadline) {
  Cluster cluster(2);
  const TimePoint start = cluster.timeline.now();
  EXPECT_EQ(cluster[0].wait(cluster.in(30ms), 0ns), 0u);
  EXPECT_EQ(cluster.timeline.now() - start, 30ms);
  EXPECT_EQ(cluster[0].wait(cluster.in(0ns), 0ns), 0u);
}

TEST(SimWait, ReturnsWhenAnOperationsDeadlinePasses) {
  Cluster cluster(2);
  cluster.network.crash(cluster.host(1));
  const TimePoint start = cluster.timeline.now();
  Ended& ended = cluster.ended();
  cluster.send(0, 1, 1, ended, 8, 10ms);
  EXPECT_EQ(cluster[0].wait(Deadline::never(), 0ns), 1u);
  EXPECT_EQ(cluster.timeline.now() - start, 10ms);
  EXPECT_EQ(ended.code(), Code::timed_out);
}

TEST(SimWait, AWakeEndsItAndIsKept) {
  Cluster cluster(1);
  cluster[0].wake();
  cluster[0].wake();
  EXPECT_EQ(cluster[0].wait(Deadline::never(), 0ns), 0u);
  cluster.timeline.after(5ms, [&] { cluster[0].wake(); });
  const TimePoint start = cluster.timeline.now();
  EXPECT_EQ(cluster[0].wait(cluster.in(1s), 0ns), 0u);
  EXPECT_EQ(cluster.timeline.now() - start, 5ms);
  cluster[0].wait(cluster.in(1ms), 0ns);
  EXPECT_EQ(cluster.timeline.now() - start, 6ms) << "none is left over";
}

TEST(SimWaitDeathTest, ThatCanNeverEndStopsTheProcess) {
  Cluster cluster(1);
  EXPECT_DEATH(cluster[0].wait(Deadline::never(), 0ns), "the simulation hangs");
}

TEST(SimMembers, AreCalledWhenThereIsSomethingToDo) {
  NetworkOptions options = round_figures();
  options.one_sided_needs_target = true;  // so that members have to be called to serve, too
  options.reaction = 7us;
  Cluster cluster(2, options);
  int calls = 0;
  cluster.network.set_on_ready(cluster[1], [&] {
    ++calls;
    EXPECT_TRUE(cluster.timeline.inside_event());
    cluster[1].wait(Deadline::never(), 0ns);
  });
  std::vector<std::byte> memory(1000, std::byte{3}), into(1000);
  const RemoteMemory remote = cluster.expose(1, memory);
  cluster.timeline.run_for(1s);
  EXPECT_EQ(calls, 0) << "idle costs nothing";
  Ended& got = cluster.ended();
  cluster.read(0, 1, remote, into, got);
  while (!got.ended()) cluster[0].wait(Deadline::never(), 0ns);
  EXPECT_TRUE(got.ok()) << got.message();
  EXPECT_EQ(calls, 2) << "to accept the connection, and to serve the read";
  Ended& sent = cluster.ended();
  cluster.send(0, 1, 9, sent);
  cluster.timeline.run_for(1ms);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(cluster.nodes[1].received, (std::vector<std::uint32_t>{9}));
  cluster[0].poll();
  EXPECT_TRUE(sent.ok());
}

TEST(SimMembers, AWaitInsideAnEventIsContinuedAtItsDeadline) {
  Cluster cluster(1);
  std::vector<TimePoint> turns;
  const TimePoint start = cluster.timeline.now();
  cluster.network.set_on_ready(cluster[0], [&] {
    turns.push_back(cluster.timeline.now());
    if (turns.size() == 4) return;
    EXPECT_EQ(cluster[0].wait(cluster.in(1ms), 0ns), 0u);
  });
  cluster[0].wake();
  cluster.timeline.run_for(1s);
  ASSERT_EQ(turns.size(), 4u);
  const Duration reaction = cluster.network.options().reaction;
  for (std::size_t i = 0; i < turns.size(); ++i)
    EXPECT_EQ(turns[i] - start, reaction + static_cast<long>(i) * (1ms + reaction));
}

TEST(SimMembers, StoppedOnesAreCalledWhenTheyAreResumed) {
  Cluster cluster(2);
  int calls = 0;
  cluster.network.set_on_ready(cluster[1], [&] {
    ++calls;
    cluster[1].poll();
  });
  cluster.network.stop(cluster.process(1));
  Ended& sent = cluster.ended();
  cluster.send(0, 1, 4, sent);
  cluster.timeline.run_for(1s);
  EXPECT_EQ(calls, 0);
  cluster.network.resume(cluster.process(1));
  cluster.timeline.run_for(1s);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(cluster.nodes[1].received, (std::vector<std::uint32_t>{4}));
  cluster[0].poll();
  EXPECT_TRUE(sent.ok());
}

TEST(SimMembers, MayCloseTheirEndpointWhenCalled) {
  Cluster cluster(2);
  cluster.network.set_on_ready(cluster[1], [&] { cluster.nodes[1].endpoint.reset(); });
  Ended& sent = cluster.ended();
  cluster.send(0, 1, 4, sent);
  cluster.timeline.run_for(1ms);
  cluster[0].poll();
  EXPECT_TRUE(sent.ok());
  EXPECT_EQ(cluster.nodes[1].endpoint, nullptr);
}

}  // namespace
}  // namespace holdfast::sim::test
