// Threads that compute and share cores, bytes that processors move, and racks' uplinks.
#include "tests/fabric/sim/cluster.h"

namespace holdfast::sim::test {
namespace {

constexpr auto L = 1000ns, o = 300ns;

NetworkOptions with_cores(std::uint32_t cores) {
  NetworkOptions out = round_figures();
  out.cores_per_host = cores;
  return out;
}

/// Endpoints of one host, a process each.
std::vector<std::unique_ptr<Endpoint>> threads(Network& network, std::size_t count) {
  const HostId host = network.add_host(0);
  std::vector<std::unique_ptr<Endpoint>> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(std::move(network.fabric(network.start(host)).open({}).value()));
  return out;
}

TEST(Work, ThreadsShareTheCoresOfTheirHost) {
  Timeline timeline(1);
  Network network(timeline, with_cores(2));
  const auto all = threads(network, 3);
  const TimePoint start = timeline.now();
  EXPECT_EQ(network.work(*all[0], 100ns) - start, 100ns);
  EXPECT_EQ(network.work(*all[1], 60ns) - start, 60ns);
  EXPECT_EQ(network.work(*all[2], 10ns) - start, 70ns) << "after the one that is through first";
  EXPECT_EQ(network.work(*all[1], 10ns) - start, 80ns) << "on the core that is free at 70";
}

TEST(Work, AThreadDoesOneThingAtATimeHoweverManyCoresThereAre) {
  Timeline timeline(1);
  Network network(timeline, with_cores(8));
  const auto all = threads(network, 1);
  const TimePoint start = timeline.now();
  EXPECT_EQ(network.work(*all[0], 100ns) - start, 100ns);
  EXPECT_EQ(network.work(*all[0], 100ns) - start, 200ns);
}

TEST(Work, WithoutCountedCoresEachProcessHasOneOrEachThread) {
  for (const bool core_a_thread : {false, true}) {
    NetworkOptions options = round_figures();
    options.core_a_thread = core_a_thread;
    Timeline timeline(1);
    Network network(timeline, options);
    const auto all = threads(network, 3);
    const auto second = network.fabric(ProcessId{0}).open({}).value();  // of the first one's process
    const TimePoint start = timeline.now();
    for (const auto& thread : all) EXPECT_EQ(network.work(*thread, 100ns) - start, 100ns);
    EXPECT_EQ(network.work(*second, 100ns) - start, core_a_thread ? 100ns : 200ns);
    EXPECT_EQ(network.work(*all[0], 100ns) - start, core_a_thread ? 200ns : 300ns) << "one thing at a time";
  }
}

/// What a read of `bytes` by node 0 from node 1 takes, both idle and connected.
Duration read_time(const NetworkOptions& options, std::uint64_t bytes, Duration reader_works = 0ns) {
  Cluster cluster(2, options);
  std::vector<std::byte> memory(bytes), into(bytes);
  const RemoteMemory remote = cluster.expose(1, memory);
  Ended& first = cluster.ended();
  cluster.read(0, 1, remote, std::span(into).first(1), first);
  while (!first.ended()) cluster.run_for(1us), cluster[1].poll(), cluster[0].poll();
  cluster.run_for(1ms);
  Ended& ended = cluster.ended();
  const TimePoint start = cluster.timeline.now();
  cluster.read(0, 1, remote, into, ended);
  if (reader_works > 0ns) cluster.network.work(cluster[0], reader_works);
  while (!ended.ended()) {
    cluster[1].poll();
    cluster[0].poll();
    if (!ended.ended()) cluster.timeline.step();
  }
  EXPECT_TRUE(ended.ok()) << ended.message();
  return cluster.timeline.now() - start;
}

TEST(Work, AReaderThatMovesBytesAsFastAsTheyComeCostsNoTime) {
  NetworkOptions options = with_cores(1);
  options.same_rack.processor_bytes_per_second = 1'000'000'000;
  EXPECT_EQ(read_time(options, 10'000), o + L + 10'000ns + L + o);
}

TEST(Work, AReaderThatMovesBytesMoreSlowlyIsThroughLater) {
  NetworkOptions options = with_cores(1);
  options.same_rack.processor_bytes_per_second = 500'000'000;
  EXPECT_EQ(read_time(options, 10'000), o + L + 10'000ns + L + 10'000ns + o);
}

TEST(Work, AReaderThatComputesTakesTheBytesAfterwards) {
  NetworkOptions options = with_cores(1);
  options.same_rack.processor_bytes_per_second = 1'000'000'000;
  const Duration busy = 50us;
  EXPECT_EQ(read_time(options, 10'000, busy), o + busy + 10'000ns + o);
}

TEST(Work, AnOwnerThatMustMoveBytesIsWaitedFor) {
  NetworkOptions options = with_cores(1);
  options.one_sided_needs_target = true;
  options.same_rack.processor_bytes_per_second = 100'000'000;
  // The owner moves them in 100 us, the reader as they come.
  EXPECT_EQ(read_time(options, 10'000), o + L + o + 100'000ns + L + o);
}

TEST(Work, AThreadThatMovesBytesKeepsNoOtherOneOfItsProcess) {
  // While its agent serves a read for 100 us, the owner's other thread computes.
  NetworkOptions options = round_figures();
  options.core_a_thread = true;
  options.one_sided_needs_target = true;
  options.same_rack.processor_bytes_per_second = 100'000'000;
  Cluster cluster(2, options);
  const auto application = cluster.network.fabric(cluster.process(1)).open({}).value();
  std::vector<std::byte> memory(10'000), into(10'000);
  const RemoteMemory remote = cluster.expose(1, memory);
  Ended& ended = cluster.ended();
  cluster.read(0, 1, remote, into, ended);
  cluster.run_for(50us);
  ASSERT_FALSE(ended.ended());
  EXPECT_EQ(cluster.network.work(*application, 1us) - cluster.timeline.now(), 1us);
  EXPECT_GT(cluster.network.work(cluster[1], 1us) - cluster.timeline.now(), 50us);
  cluster.run_for(1ms);
  EXPECT_TRUE(ended.ok()) << ended.message();
}

TEST(Work, ARacksUplinkIsShared) {
  NetworkOptions options = round_figures();
  options.across_racks.bytes_per_second = 1'000'000'000;
  options.rack_bytes_per_second = 1'000'000'000;  // two hosts could send twice that
  const auto both = [&](std::uint64_t rate) {
    options.rack_bytes_per_second = rate;
    Cluster cluster(4, options);  // hosts 0 and 1, and 2 and 3, in a rack
    std::vector<std::byte> memory(1'000'000), into(2'000'000);
    const RemoteMemory of_0 = cluster.expose(0, memory), of_1 = cluster.expose(1, memory);
    Ended &one = cluster.ended(), &other = cluster.ended();
    const TimePoint start = cluster.timeline.now();
    cluster.read(2, 0, of_0, std::span(into).first(1'000'000), one);
    cluster.read(3, 1, of_1, std::span(into).last(1'000'000), other);
    while (!one.ended() || !other.ended()) {
      for (std::uint32_t node = 0; node < 4; ++node) cluster[node].poll();
      if (!one.ended() || !other.ended()) cluster.timeline.step();
    }
    return cluster.timeline.now() - start;
  };
  const Duration free = both(0), shared = both(1'000'000'000);
  EXPECT_EQ(shared - free, 1ms) << "the second waits until the first has gone through";
  EXPECT_EQ(both(2'000'000'000) - free, 500us);
}

TEST(Work, WhatCrossesANicIsCounted) {
  Cluster cluster(2);
  std::vector<std::byte> memory(5000), into(5000);
  const RemoteMemory remote = cluster.expose(1, memory);
  Ended& ended = cluster.ended();
  cluster.read(0, 1, remote, into, ended);
  while (!ended.ended()) cluster[0].wait(Deadline::never(), 0ns);
  EXPECT_EQ(cluster.network.nic(cluster.host(1)).bytes_out, 5000u);
  EXPECT_EQ(cluster.network.nic(cluster.host(0)).bytes_in, 5000u);
  EXPECT_EQ(cluster.network.nic(cluster.host(0)).bytes_out, 0u);
}

}  // namespace
}  // namespace holdfast::sim::test
