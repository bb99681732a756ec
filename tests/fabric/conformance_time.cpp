// Deadlines, waiting, waking and closing.
#include <time.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>

#include "tests/fabric/conformance.h"

namespace holdfast::fabric::test {

using namespace std::chrono_literals;

TEST_P(FabricTime, ADeadlineThatHasPassedEndsTheRead) {
  const auto memory = pattern(4096, 1);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 4096);
  Ended ended;
  ReadRequest late = request(remote, 0, into);
  late.deadline = Deadline::after(world().clock(), 0ns);
  read(late, ended);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.code(), Code::timed_out);
  EXPECT_EQ(reader_->stats().quarantined, 0u) << "nothing was started, so nothing can be written late";
}

TEST_P(FabricTime, ADeadlineThatHasPassedEndsTheSend) {
  Ended ended;
  reader_->send(peer_, pattern(8, 1), Deadline::after(world().clock(), 0ns), ended);
  EXPECT_EQ(ended.calls, 0);
  drive_until([&] { return ended.ended(); });
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.code(), Code::timed_out);
}

TEST_P(FabricTime, APeerThatIsNotDrivenTimesOutAndTheBufferIsHeld) {
  const auto memory = pattern(4096, 2);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 4096);
  Ended first;
  read(request(remote, 0, into), first);  // connected from here on
  ASSERT_TRUE(first.ok()) << first.message();
  if (world().fabric().info().rdma) GTEST_SKIP() << "the device answers whether or not the peer is driven";

  std::fill(into.begin(), into.end(), std::byte{0});
  auto hold = std::make_shared<int>(1);
  const std::weak_ptr<int> held = hold;
  Ended ended;
  ReadRequest silent = request(remote, 0, into);
  silent.hold = std::move(hold);
  silent.deadline = Deadline::after(world().clock(), 20ms);
  reader_->read(silent, ended);
  silent.hold.reset();
  const Deadline limit = soon();
  while (!ended.ended() && !limit.passed(world().clock())) {
    reader_->poll();  // and nobody drives the owner
    world().turn();
  }
  ASSERT_EQ(ended.calls, 1);
  EXPECT_EQ(ended.code(), Code::timed_out);
  EXPECT_EQ(reader_->stats().quarantined, 1u);
  EXPECT_FALSE(held.expired()) << "the transfer can still write the buffer";

  // The owner comes back: the late completion releases the buffer, and nothing is told twice.
  drive_until([&] { return reader_->stats().quarantined == 0; });
  EXPECT_TRUE(held.expired());
  EXPECT_EQ(ended.calls, 1);
  Ended again;
  read(request(remote, 0, into), again);
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_EQ(into, memory);
}

TEST_P(FabricTime, ClosingReleasesWhatIsQuarantined) {
  if (world().fabric().info().rdma) GTEST_SKIP() << "the device answers whether or not the peer is driven";
  const auto memory = pattern(64, 3);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 64);
  Ended first;
  read(request(remote, 0, into), first);
  auto hold = std::make_shared<int>(1);
  const std::weak_ptr<int> held = hold;
  Ended ended;
  ReadRequest silent = request(remote, 0, into);
  silent.hold = std::move(hold);
  silent.deadline = Deadline::after(world().clock(), 5ms);
  reader_->read(silent, ended);
  silent.hold.reset();
  while (!ended.ended()) {
    reader_->poll();
    world().turn();
  }
  EXPECT_FALSE(held.expired());
  close(*reader_);
  EXPECT_TRUE(held.expired());
  EXPECT_EQ(ended.calls, 1);
}

TEST_P(FabricTime, ClosingEndsWhatIsOutstanding) {
  const auto memory = pattern(4096, 4);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 4096);
  std::deque<Ended> reads(300), sends(300);
  for (Ended& ended : reads) reader_->read(request(remote, 0, into), ended);
  for (Ended& ended : sends) reader_->send(peer_, pattern(4096, 1), soon(), ended);
  close(*reader_);
  for (const Ended& ended : reads) ASSERT_EQ(ended.calls, 1);
  for (const Ended& ended : sends) ASSERT_EQ(ended.calls, 1);
  EXPECT_FALSE(reads.back().ok());
  EXPECT_EQ(reads.back().code(), Code::timed_out);
  // The owner serves others as before.
  Endpoint& other = open();
  peer_ = connect(other, *owner_);
  reader_ = &other;
  auto into_other = destination(other, 4096);
  Ended again;
  read(request(remote, 0, into_other), again);
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_EQ(into_other, memory);
}

TEST_P(FabricTime, HoldLivesUntilTheCompletionHasBeenTold) {
  const auto memory = pattern(4096, 5);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 4096);
  auto hold = std::make_shared<int>(1);
  const std::weak_ptr<int> held = hold;
  bool alive_then = false;
  Ended ended;
  ended.then = [&] { alive_then = !held.expired(); };
  ReadRequest with_hold = request(remote, 0, into);
  with_hold.hold = std::move(hold);
  read(with_hold, ended);
  with_hold.hold.reset();
  EXPECT_TRUE(ended.ok());
  EXPECT_TRUE(alive_then);
  EXPECT_TRUE(held.expired());
}

TEST_P(FabricTime, NeverPassesWhileAnswersCome) {
  const auto memory = pattern(100, 6);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 100);
  ReadRequest patient = request(remote, 0, into);
  patient.deadline = Deadline::never();
  Ended ended;
  read(patient, ended);
  EXPECT_TRUE(ended.ok()) << ended.message();
}

TEST_P(FabricTime, WaitReturnsAtItsDeadline) {
  if (!world().real_time()) GTEST_SKIP() << "nothing blocks in simulated time";
  const Clock& clock = world().clock();
  for (const Duration spin : {Duration(0), Duration(200us)}) {
    const TimePoint before = clock.now();
    EXPECT_EQ(reader_->wait(Deadline::after(clock, 30ms), spin), 0u);
    EXPECT_GE(clock.now() - before, 30ms);
  }
  EXPECT_EQ(reader_->wait(Deadline::after(clock, 0ns), 0ns), 0u);
}

TEST_P(FabricTime, WaitReturnsWhenAnOperationsDeadlinePasses) {
  if (!world().real_time()) GTEST_SKIP() << "nothing blocks in simulated time";
  const auto memory = pattern(64, 7);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 64);
  ReadRequest silent = request(remote, 0, into);
  silent.deadline = Deadline::after(world().clock(), 10ms);
  Ended ended;
  reader_->read(silent, ended);  // nobody drives the owner, so it cannot even be connected to
  EXPECT_GE(reader_->wait(Deadline::never(), 0ns), 1u);
  ASSERT_EQ(ended.calls, 1);
  EXPECT_TRUE(ended.ok() || ended.code() == Code::timed_out) << ended.message();
}

TEST_P(FabricTime, WaitServesOthersAndReturnsOnAMessage) {
  if (!world().real_time()) GTEST_SKIP() << "nothing blocks in simulated time";
  const auto memory = pattern(100'000, 8);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, memory.size());
  bool told = false;
  owner_->set_receiver([&](std::span<const std::byte>) { told = true; });
  std::thread serving([&] {
    while (!told) owner_->wait(Deadline::never(), 0ns);
  });
  for (int i = 0; i < 200; ++i) {
    Ended ended;
    reader_->read(request(remote, 0, into), ended);
    while (!ended.ended()) reader_->wait(soon(), i % 2 == 0 ? Duration(50us) : Duration(0));
    EXPECT_TRUE(ended.ok()) << ended.message();
  }
  Ended sent;
  reader_->send(peer_, pattern(8, 1), soon(), sent);
  while (!sent.ended()) reader_->wait(soon(), 0ns);
  serving.join();
  EXPECT_EQ(into, memory);
}

TEST_P(FabricTime, WaitSleepsAlsoAfterTraffic) {
  if (!world().real_time()) GTEST_SKIP() << "nothing blocks in simulated time";
  Ended sent;
  reader_->send(peer_, pattern(8, 1), soon(), sent);
  drive_until([&] { return sent.ended() && owner_->stats().receives == 1; });
  const auto processor_time = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
  };
  const Duration before = processor_time();
  owner_->wait(Deadline::after(world().clock(), 400ms), 0ns);
  EXPECT_LT(processor_time() - before, 100ms) << "it spun, where it should have slept";
}

TEST_P(FabricTime, WakeIsNeverLost) {
  if (!world().real_time()) GTEST_SKIP() << "nothing blocks in simulated time";
  constexpr int kRounds = 20'000;
  std::atomic<int> asked{0};
  std::atomic<int> seen{0};
  std::thread waiter([&] {
    while (seen.load() < kRounds) {
      // Never returns by itself: a lost wake-up hangs here and the test's time limit ends it.
      owner_->wait(Deadline::never(), (seen.load() & 1) != 0 ? Duration(5us) : Duration(0));
      seen.store(asked.load());
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    asked.store(round);
    owner_->wake();
    while (seen.load() < round) std::this_thread::yield();
  }
  waiter.join();
}

TEST_P(FabricTime, WakeBeforeWaitIsKept) {
  if (!world().real_time()) GTEST_SKIP() << "nothing blocks in simulated time";
  for (int round = 0; round < 100; ++round) {
    owner_->wake();
    owner_->wake();  // twice is as once
    EXPECT_EQ(owner_->wait(Deadline::never(), 0ns), 0u);
  }
  EXPECT_EQ(owner_->wait(Deadline::after(world().clock(), 5ms), 0ns), 0u) << "none is left over";
}

TEST_P(FabricTime, ThreadsWithAnEndpointEachReadAtOnce) {
  if (!world().real_time()) GTEST_SKIP() << "nothing blocks in simulated time";
  constexpr int kThreads = 3, kReads = 300;
  const auto memory = pattern(65536, 9);
  const RemoteMemory remote = expose(*owner_, memory);
  std::atomic<int> good{0};
  std::atomic<bool> done{false};
  std::thread serving([&] {
    while (!done.load()) owner_->wait(Deadline::never(), 0ns);
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto endpoint = world().fabric().open({});
      ASSERT_TRUE(endpoint.has_value()) << endpoint.error().message();
      const auto peer = (*endpoint)->connect(owner_->address());
      ASSERT_TRUE(peer.has_value());
      auto into = destination(**endpoint, 1000);
      for (int i = 0; i < kReads; ++i) {
        const std::uint64_t offset = static_cast<std::uint64_t>(t * 1000 + i);
        Ended ended;
        (*endpoint)->read({*peer, remote, offset, into, {}, soon()}, ended);
        while (!ended.ended()) (*endpoint)->wait(soon(), 50us);
        if (ended.ok() && std::equal(into.begin(), into.end(), memory.begin() + static_cast<long>(offset)))
          ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  done = true;
  owner_->wake();
  serving.join();
  EXPECT_EQ(good.load(), kThreads * kReads);
}

}  // namespace holdfast::fabric::test
