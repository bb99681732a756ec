// What things cost: LogGP to the nanosecond, where there is no jitter.
#include "tests/fabric/sim/cluster.h"

namespace holdfast::sim::test {
namespace {

constexpr auto L = 1000ns, o = 300ns;

/// Connected, and idle for long.
class Costs : public testing::Test {
 protected:
  Costs() : cluster_(4) {
    for (std::uint32_t to = 1; to < 4; ++to) {
      Ended& ended = cluster_.ended();
      cluster_.send(0, to, 0, ended);
      cluster_.run_for(1ms);
      EXPECT_TRUE(ended.ok());
    }
    cluster_.nodes[1].received.clear();
  }
  /// From now until the operation has ended.
  Duration time(const Ended& ended) {
    const TimePoint start = cluster_.timeline.now();
    while (!ended.ended()) cluster_[0].wait(Deadline::never(), 0ns);
    EXPECT_TRUE(ended.ok()) << ended.message();
    return cluster_.timeline.now() - start;
  }
  Cluster cluster_;
};

TEST_F(Costs, AReadTakesWhatLogGPSays) {
  std::vector<std::byte> memory(100'000), into(100'000);
  const RemoteMemory remote = cluster_.expose(1, memory);
  for (const std::size_t bytes : {1u, 8u, 4096u, 4097u, 100'000u}) {
    Ended& ended = cluster_.ended();
    cluster_.read(0, 1, remote, std::span(into).first(bytes), ended);
    EXPECT_EQ(time(ended), o + L + Duration(bytes) + L + o) << bytes << " bytes";
    cluster_.run_for(1ms);
  }
}

TEST_F(Costs, AMessageIsDeliveredAfterWhatLogGPSays) {
  for (const std::size_t bytes : {4u, 100u, 4096u}) {
    Ended& ended = cluster_.ended();
    const TimePoint start = cluster_.timeline.now();
    cluster_.send(0, 1, 7, ended, bytes);
    const std::uint64_t before = cluster_[1].stats().receives;
    while (cluster_[1].stats().receives == before) cluster_[1].wait(Deadline::never(), 0ns);
    EXPECT_EQ(cluster_.timeline.now() - start, o + Duration(bytes) + L + o) << bytes << " bytes";
    cluster_.run_for(1ms);
  }
}

TEST_F(Costs, LinkClassesDiffer) {
  std::vector<std::byte> memory(1000), into(1000);
  const RemoteMemory remote = cluster_.expose(2, memory);
  Ended& ended = cluster_.ended();
  cluster_.read(0, 2, remote, into, ended);  // another rack
  EXPECT_EQ(time(ended), 2 * 400ns + 2 * 2000ns + 1000ns);
}

TEST_F(Costs, TheReadersNicTakesInOneThingAtATime) {
  // Two owners send 50,000 bytes each to one reader: its NIC needs as long as for 100,000.
  std::vector<std::byte> memory(50'000), one(50'000), two(50'000);
  const RemoteMemory of_two = cluster_.expose(2, memory), of_three = cluster_.expose(3, memory);
  Ended &first = cluster_.ended(), &second = cluster_.ended();
  const TimePoint start = cluster_.timeline.now();
  cluster_.read(0, 2, of_two, one, first);
  cluster_.read(0, 3, of_three, two, second);
  while (!first.ended() || !second.ended()) cluster_[0].wait(Deadline::never(), 0ns);
  EXPECT_EQ(cluster_.timeline.now() - start, 400ns + 2000ns + 100'000ns + 2000ns + 400ns);
}

TEST_F(Costs, TheOwnersNicSendsOneThingAtATime) {
  // Connected readers, both of the owner's neighbours in cost: 1 and 0 are in one rack, so from another rack.
  std::vector<std::byte> memory(50'000), one(50'000), two(50'000);
  const RemoteMemory remote = cluster_.expose(2, memory);
  Ended& warm = cluster_.ended();
  std::vector<std::byte> byte(1);
  cluster_.read(1, 2, remote, byte, warm);
  cluster_.run_for(1ms);
  ASSERT_TRUE(warm.ok());
  Ended &first = cluster_.ended(), &second = cluster_.ended();
  const TimePoint start = cluster_.timeline.now();
  cluster_.read(0, 2, remote, one, first);
  cluster_.read(1, 2, remote, two, second);
  cluster_.run_for(1us);
  while (!first.ended()) cluster_[0].wait(Deadline::never(), 0ns);
  EXPECT_EQ(cluster_.timeline.now() - start, 400ns + 2000ns + 50'000ns + 2000ns + 400ns);
  while (!second.ended()) cluster_[1].wait(Deadline::never(), 0ns);
  EXPECT_EQ(cluster_.timeline.now() - start, 400ns + 2000ns + 100'000ns + 2000ns + 400ns);
}

TEST_F(Costs, ManySmallMessagesGoAtTheProcessorsOverhead) {
  // o = 300 ns is more than g = 100 ns: the k-th has left after k overheads and its own bytes.
  std::vector<Ended> ended(50);
  const TimePoint start = cluster_.timeline.now();
  for (std::uint32_t i = 0; i < ended.size(); ++i) cluster_.send(0, 1, i, ended[i]);
  while (!ended.back().ended()) cluster_[0].wait(Deadline::never(), 0ns);
  EXPECT_EQ(cluster_.timeline.now() - start, 50 * o + 4ns);
}

TEST_F(Costs, ASlowProcessTakesLongerForItsPart) {
  cluster_.network.slow(cluster_.process(0), 10);
  std::vector<std::byte> memory(1000), into(1000);
  const RemoteMemory remote = cluster_.expose(1, memory);
  Ended& ended = cluster_.ended();
  cluster_.read(0, 1, remote, into, ended);
  EXPECT_EQ(time(ended), 10 * o + L + 1000ns + L + 10 * o);
  cluster_.network.slow(cluster_.process(0), 1);
  cluster_.run_for(1ms);
  Ended& again = cluster_.ended();
  cluster_.read(0, 1, remote, into, again);
  EXPECT_EQ(time(again), o + L + 1000ns + L + o);
}

TEST_F(Costs, ASlowNicTakesLongerForItsBytes) {
  cluster_.network.slow(cluster_.host(1), 10);
  std::vector<std::byte> memory(1000), into(1000);
  const RemoteMemory remote = cluster_.expose(1, memory);
  Ended& ended = cluster_.ended();
  cluster_.read(0, 1, remote, into, ended);
  EXPECT_EQ(time(ended), o + L + 10'000ns + L + o);
}

TEST_F(Costs, TrafficIsCountedByLinkClass) {
  const NetworkStats before = cluster_.network.stats();
  std::vector<std::byte> memory(1000), into(1000);
  const RemoteMemory near = cluster_.expose(1, memory), far = cluster_.expose(2, memory);
  Ended &one = cluster_.ended(), &two = cluster_.ended(), &three = cluster_.ended();
  cluster_.read(0, 1, near, into, one);
  cluster_.read(0, 2, far, into, two);
  cluster_.send(0, 2, 1, three, 100);
  cluster_.run_for(1ms);
  const NetworkStats after = cluster_.network.stats();
  EXPECT_EQ(after.of(LinkClass::same_rack).read_bytes - before.of(LinkClass::same_rack).read_bytes, 1000u);
  EXPECT_EQ(after.of(LinkClass::across_racks).read_bytes, 1000u);
  EXPECT_EQ(
      after.of(LinkClass::across_racks).message_bytes - before.of(LinkClass::across_racks).message_bytes,
      100u);
  EXPECT_EQ(after.of(LinkClass::same_host).messages, 0u);
}

TEST(CostsOverTcp, TheOwnersProcessorHasAPart) {
  NetworkOptions options = round_figures();
  options.one_sided_needs_target = true;
  Cluster cluster(2, options);
  std::vector<std::byte> memory(1000), into(1000);
  const RemoteMemory remote = cluster.expose(1, memory);
  Ended &first = cluster.ended(), &second = cluster.ended();
  cluster.read(0, 1, remote, into, first);
  cluster.run_for(1ms);
  ASSERT_TRUE(first.ok()) << first.message();
  const TimePoint start = cluster.timeline.now();
  TimePoint end;
  second.then = [&] { end = cluster.timeline.now(); };
  cluster.read(0, 1, remote, into, second);
  cluster.run_for(1ms);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(end - start, o + L + o + 1000ns + L + o);
}

}  // namespace
}  // namespace holdfast::sim::test
