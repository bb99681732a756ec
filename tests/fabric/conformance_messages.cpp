// Messages: order, sizes, receivers, addresses.
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>

#include "tests/fabric/conformance.h"

namespace holdfast::fabric::test {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> numbered(std::uint32_t number, std::size_t bytes = sizeof(std::uint32_t)) {
  std::vector<std::byte> out(bytes, static_cast<std::byte>(number & 0xff));
  std::memcpy(out.data(), &number, sizeof(number));
  return out;
}

std::uint32_t number_of(std::span<const std::byte> message) {
  std::uint32_t out = 0;
  std::memcpy(&out, message.data(), sizeof(out));
  return out;
}

}  // namespace

TEST_P(FabricMessages, OneArrivesWhole) {
  Endpoint &to = open(), &from = open();
  const PeerId peer = connect(from, to);
  std::vector<std::byte> got;
  int calls = 0;
  to.set_receiver([&](std::span<const std::byte> message) {
    ++calls;
    got.assign(message.begin(), message.end());
  });
  const auto sent = pattern(100, 1);
  Ended ended;
  from.send(peer, sent, soon(), ended);
  EXPECT_EQ(ended.calls, 0) << "completed from inside the starting call";
  drive_until([&] { return ended.ended() && calls > 0; });
  EXPECT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(got, sent);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(from.stats().sends, 1u);
  EXPECT_EQ(to.stats().receives, 1u);
}

TEST_P(FabricMessages, CopiedBeforeTheCallReturns) {
  Endpoint &to = open(), &from = open();
  const PeerId peer = connect(from, to);
  std::vector<std::byte> got;
  to.set_receiver([&](std::span<const std::byte> message) { got.assign(message.begin(), message.end()); });
  const auto sent = pattern(2000, 2);
  Ended ended;
  {
    auto scratch = sent;
    from.send(peer, scratch, soon(), ended);
    std::fill(scratch.begin(), scratch.end(), std::byte{0});
  }
  drive_until([&] { return !got.empty(); });
  EXPECT_EQ(got, sent);
}

TEST_P(FabricMessages, EverySizeUpToTheLargestArrives) {
  Endpoint &to = open(), &from = open();
  const PeerId peer = connect(from, to);
  std::vector<std::vector<std::byte>> got;
  to.set_receiver(
      [&](std::span<const std::byte> message) { got.emplace_back(message.begin(), message.end()); });
  const std::vector<std::size_t> sizes = {1, 4, 63, 64, 65, 127, 128, 129, 1024, 4095, kMaxMessageBytes};
  std::deque<Ended> ended(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i)
    from.send(peer, pattern(sizes[i], static_cast<unsigned>(i)), soon(), ended[i]);
  drive_until([&] { return got.size() == sizes.size(); });
  for (std::size_t i = 0; i < sizes.size(); ++i)
    EXPECT_EQ(got[i], pattern(sizes[i], static_cast<unsigned>(i))) << sizes[i] << " bytes";
}

TEST_P(FabricMessages, TooLargeIsInvalid) {
  Endpoint &to = open(), &from = open();
  const PeerId peer = connect(from, to);
  int calls = 0;
  to.set_receiver([&](std::span<const std::byte>) { ++calls; });
  Ended ended;
  from.send(peer, pattern(kMaxMessageBytes + 1, 3), soon(), ended);
  EXPECT_EQ(ended.calls, 0);
  drive_until([&] { return ended.ended(); });
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.code(), Code::invalid);
  Ended after;
  from.send(peer, pattern(8, 3), soon(), after);
  drive_until([&] { return calls > 0; });
  EXPECT_EQ(calls, 1);
}

TEST_P(FabricMessages, KeepTheirOrderAlsoWhenQueued) {
  // Far more than any queue of a provider holds, so that many wait in the endpoint's own.
  constexpr std::uint32_t kMessages = 6000;
  Endpoint& to = open({.receive_depth = 4});
  Endpoint& from = open();
  const PeerId peer = connect(from, to);
  std::uint32_t next = 0;
  to.set_receiver([&](std::span<const std::byte> message) {
    ASSERT_EQ(number_of(message), next);
    ASSERT_EQ(message.size(), 4 + (next * 7) % 4000);
    ++next;
  });
  std::deque<Ended> ended(kMessages);
  for (std::uint32_t i = 0; i < kMessages; ++i)
    from.send(peer, numbered(i, 4 + (i * 7) % 4000), soon(), ended[i]);
  drive_until([&] { return next == kMessages || HasFatalFailure(); });
  for (const Ended& one : ended) ASSERT_TRUE(one.ok()) << one.message();
}

TEST_P(FabricMessages, CrossingOnesAllArrive) {
  // Both sides begin at once: connections cross.
  constexpr std::uint32_t kMessages = 500;
  Endpoint &a = open(), &b = open();
  const PeerId to_b = connect(a, b), to_a = connect(b, a);
  std::uint32_t at_a = 0, at_b = 0;
  a.set_receiver([&](std::span<const std::byte> message) { ASSERT_EQ(number_of(message), at_a++); });
  b.set_receiver([&](std::span<const std::byte> message) { ASSERT_EQ(number_of(message), at_b++); });
  std::deque<Ended> ended(2 * kMessages);
  for (std::uint32_t i = 0; i < kMessages; ++i) {
    a.send(to_b, numbered(i), soon(), ended[2 * i]);
    b.send(to_a, numbered(i), soon(), ended[2 * i + 1]);
  }
  drive_until([&] { return (at_a == kMessages && at_b == kMessages) || HasFatalFailure(); });
}

TEST_P(FabricMessages, ManySendersToOneAllArrive) {
  constexpr std::uint32_t kSenders = 8, kMessages = 100;
  Endpoint& to = open({.receive_depth = 2});
  std::map<std::uint32_t, std::uint32_t> next;
  std::uint32_t total = 0;
  to.set_receiver([&](std::span<const std::byte> message) {
    const std::uint32_t number = number_of(message);
    ASSERT_EQ(number % 1000, next[number / 1000]++);
    ++total;
  });
  std::deque<Ended> ended(kSenders * kMessages);
  for (std::uint32_t sender = 0; sender < kSenders; ++sender) {
    Endpoint& from = open();
    const PeerId peer = connect(from, to);
    for (std::uint32_t i = 0; i < kMessages; ++i)
      from.send(peer, numbered(sender * 1000 + i), soon(), ended[sender * kMessages + i]);
  }
  drive_until([&] { return total == kSenders * kMessages || HasFatalFailure(); });
}

TEST_P(FabricMessages, AReceiverMayAnswer) {
  Endpoint &a = open(), &b = open();
  const PeerId to_b = connect(a, b), to_a = connect(b, a);
  std::deque<Ended> ended;
  std::uint32_t rounds = 0;
  const auto answer = [&](Endpoint& from, PeerId to, std::uint32_t number) {
    from.send(to, numbered(number), soon(), ended.emplace_back());
  };
  a.set_receiver([&](std::span<const std::byte> message) {
    rounds = number_of(message);
    if (rounds < 200) answer(a, to_b, rounds + 1);
  });
  b.set_receiver([&](std::span<const std::byte> message) { answer(b, to_a, number_of(message) + 1); });
  answer(a, to_b, 1);
  drive_until([&] { return rounds >= 200; });
  drive_until([&] { return std::all_of(ended.begin(), ended.end(), [](const Ended& e) { return e.ok(); }); });
}

TEST_P(FabricMessages, WithoutAReceiverAreDropped) {
  Endpoint &to = open(), &from = open();
  const PeerId peer = connect(from, to);
  Ended ended;
  from.send(peer, numbered(1), soon(), ended);
  drive_until([&] { return to.stats().receives == 1; });
}

// libfabric's rxm crashed on these while it closed their connections.
TEST_P(FabricMessages, ClosingOverWhatNobodyHasTakenInIsSafe) {
  constexpr std::size_t kSenders = 3, kEach = 5;
  Endpoint& to = open();
  std::vector<std::pair<Endpoint*, PeerId>> senders;
  for (std::size_t i = 0; i < kSenders; ++i) {
    Endpoint& from = open();
    senders.emplace_back(&from, connect(from, to));
  }
  std::deque<Ended> ended;
  const auto send_all = [&](std::size_t times) {
    for (const auto& [from, peer] : senders)
      for (std::size_t i = 0; i < times; ++i)
        from->send(peer, pattern(100, 1), Deadline::after(world().clock(), 10s), ended.emplace_back());
  };
  const auto all_ended = [&] { return std::ranges::all_of(ended, &Ended::ended); };
  send_all(1);
  drive_until(all_ended);  // all are connected
  send_all(kEach);
  const Deadline arrived = Deadline::after(world().clock(), 1s);  // or not: it must be safe in any case
  while (!all_ended() && !arrived.passed(world().clock())) {
    for (const auto& [from, peer] : senders) from->poll();
    world().turn();
  }
  close(to);
  drive_until(all_ended);
}

TEST_P(FabricMessages, TheSameAddressGivesTheSamePeer) {
  Endpoint &one = open(), &two = open(), &from = open();
  const PeerId first = connect(from, one);
  const PeerId other = connect(from, two);
  EXPECT_EQ(connect(from, one), first);
  EXPECT_EQ(connect(from, two), other);
  EXPECT_NE(first, other);
  EXPECT_NE(one.address(), two.address());
  EXPECT_LE(one.address().size(), kMaxAddressBytes);
}

TEST_P(FabricMessages, GarbageIsNoAddress) {
  Endpoint& from = open();
  Endpoint& to = open();
  std::vector<Address> wrong = {
      {}, Address(1), Address(64), pattern(64, 9), pattern(kMaxAddressBytes + 1, 1)};
  wrong.push_back(to.address());
  wrong.back().pop_back();
  wrong.push_back(to.address());
  wrong.back().push_back(std::byte{0});
  for (const Address& address : wrong) {
    const auto peer = from.connect(address);
    ASSERT_FALSE(peer.has_value()) << address.size() << " bytes";
    EXPECT_EQ(peer.error().code, Code::invalid);
  }
}

}  // namespace holdfast::fabric::test
