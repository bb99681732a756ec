// Thousands of members in one thread.
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <deque>

#include "tests/fabric/sim/cluster.h"

namespace holdfast::sim::test {
namespace {

std::size_t allocated() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(SimScale, TenThousandMembersExchangeMessagesAndReads) {
  constexpr std::uint32_t kMembers = 10'000, kPerHost = 10, kHostsPerRack = 20, kRounds = 10;
  struct Member {
    std::unique_ptr<Endpoint> endpoint;
    PeerId next, far;
    RemoteMemory remote;
    std::vector<std::byte> memory = std::vector<std::byte>(64);
    std::vector<std::byte> into = std::vector<std::byte>(64);
    Ended sent, got;
    std::uint32_t received = 0, reads = 0;
  };
  Timeline timeline(1);
  Network network(timeline, {});
  std::deque<Member> members(kMembers);
  const std::size_t before = allocated();
  HostId host;
  for (std::uint32_t i = 0; i < kMembers; ++i) {
    if (i % kPerHost == 0) host = network.add_host(i / kPerHost / kHostsPerRack);
    members[i].endpoint = network.fabric(network.start(host)).open({}).value();
  }
  const std::size_t opened = allocated();

  // Each sends to the next, which answers by sending on, and reads from one far away whenever it is told.
  const auto soon = [&] { return Deadline::after(timeline.clock(), 10s); };
  for (std::uint32_t i = 0; i < kMembers; ++i) {
    Member& member = members[i];
    member.remote = member.endpoint->expose(member.memory).value();
    member.next = member.endpoint->connect(members[(i + 1) % kMembers].endpoint->address()).value();
    Member& far = members[(i + kMembers / 2) % kMembers];
    member.far = member.endpoint->connect(far.endpoint->address()).value();
    member.got.then = [&] { ++member.reads; };
    member.endpoint->set_receiver([&](std::span<const std::byte> message) {
      if (++member.received > kRounds) return;
      member.endpoint->send(member.next, message, soon(), member.sent);
      member.endpoint->read({member.far, far.remote, 0, member.into, {}, soon()}, member.got);
    });
    network.set_on_ready(*member.endpoint, [&] { member.endpoint->poll(); });
  }
  const std::byte token[32] = {};
  const auto start = std::chrono::steady_clock::now();
  for (Member& member : members) member.endpoint->send(member.next, token, soon(), member.sent);
  timeline.run_for(1s);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const std::size_t after = allocated();

  for (const Member& member : members) {
    ASSERT_EQ(member.received, kRounds + 1);
    ASSERT_EQ(member.reads, kRounds);
  }
  const auto events = static_cast<double>(timeline.events_run());
  std::printf("%u members: %zu bytes each when open, %zu with two peers; %.0f events in %.2f s, %.2f M/s\n",
              kMembers, (opened - before) / kMembers, (after - before) / kMembers, events, took.count(),
              events / took.count() / 1e6);
}

}  // namespace
}  // namespace holdfast::sim::test
