// Peers in processes of their own that are killed, stopped, closed and started again.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>

#include "holdfast/fabric/ofi.h"
#include "tests/devices.h"
#include "tests/fabric/ended.h"
#include "tests/fabric/ofi/target_process.h"

namespace holdfast::fabric::test {
namespace {

using namespace std::chrono_literals;

class OfiProcesses : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto fabric = open_ofi({.provider = GetParam(), .interface = holdfast::test::device_for(0)});
    if (!fabric) GTEST_SKIP() << fabric.error().message();
    fabric_ = std::move(*fabric);
    auto endpoint = fabric_->open({});
    ASSERT_TRUE(endpoint.has_value()) << endpoint.error().message();
    endpoint_ = std::move(*endpoint);
    into_.resize(TargetProcess::kExposedBytes);
    ASSERT_TRUE(endpoint_->attach(into_).has_value());
    target_ = start({.provider = GetParam()});
    ASSERT_NE(target_, nullptr);
    peer_ = connect(*target_);
  }

  static std::unique_ptr<TargetProcess> start(const TargetOptions& options) {
    return TargetProcess::start(options);
  }
  PeerId connect(const TargetProcess& target) {
    auto peer = endpoint_->connect(target.address());
    EXPECT_TRUE(peer.has_value()) << peer.error().message();
    return peer.value_or(PeerId{});
  }
  ReadRequest request(PeerId peer, const RemoteMemory& memory, Duration timeout, std::size_t bytes = 4096) {
    return {peer, memory, 0, std::span(into_).first(bytes), {}, Deadline::after(real_clock(), timeout)};
  }
  bool rdma() const { return fabric_->info().rdma; }
  /// Reads, and waits for the end as an application thread would.
  void read(const ReadRequest& request, Ended& ended) {
    endpoint_->read(request, ended);
    finish(ended);
  }
  void finish(const Ended& ended) {
    while (!ended.ended()) endpoint_->wait(Deadline::never(), 20us);
    ASSERT_EQ(ended.calls, 1);
  }
  bool into_holds(unsigned seed, std::size_t bytes = 4096) const {
    for (std::size_t i = 0; i < bytes; ++i)
      if (into_[i] != target_byte(i, seed)) return false;
    return true;
  }
  void read_well(PeerId peer, const RemoteMemory& memory, unsigned seed) {
    std::fill(into_.begin(), into_.end(), std::byte{0});
    Ended ended;
    read(request(peer, memory, 60s), ended);
    ASSERT_TRUE(ended.ok()) << ended.message();
    ASSERT_TRUE(into_holds(seed));
  }
  /// After a connection broke: reads until one ends well, as often as the provider needs to notice.
  void read_well_again(PeerId peer, const RemoteMemory& memory, unsigned seed) {
    const Deadline limit = Deadline::after(real_clock(), 60s);
    for (;;) {
      ASSERT_FALSE(limit.passed(real_clock())) << "never well again";
      Ended ended;
      read(request(peer, memory, 60s), ended);
      if (ended.ok()) break;
      ASSERT_EQ(ended.code(), Code::owner_lost) << ended.message();
    }
    ASSERT_TRUE(into_holds(seed));
  }

  std::unique_ptr<Fabric> fabric_;
  std::vector<std::byte> into_;
  std::unique_ptr<Endpoint> endpoint_;
  std::unique_ptr<TargetProcess> target_;
  PeerId peer_;
};

TEST_P(OfiProcesses, ReadsFromAnotherProcess) {
  read_well(peer_, target_->memory(), 1);
  Ended whole;
  read(request(peer_, target_->memory(), 60s, into_.size()), whole);
  ASSERT_TRUE(whole.ok()) << whole.message();
  EXPECT_TRUE(into_holds(1, into_.size()));
}

TEST_P(OfiProcesses, AKilledOwnerIsLost) {
  read_well(peer_, target_->memory(), 1);
  target_->stop();  // so that the reads are under way when it dies
  std::deque<Ended> ended(10);
  for (Ended& one : ended) endpoint_->read(request(peer_, target_->memory(), 60s), one);
  for (int i = 0; i < 100; ++i) endpoint_->poll();
  target_->kill_and_reap();
  const TimePoint before = real_clock().now();
  for (const Ended& one : ended) {
    finish(one);
    if (rdma() && one.ok()) continue;  // the device answered before the process died
    ASSERT_FALSE(one.ok());
    EXPECT_EQ(one.code(), Code::owner_lost) << one.message();
  }
  RecordProperty("microseconds", static_cast<int>((real_clock().now() - before) / 1us));
  EXPECT_EQ(endpoint_->stats().quarantined, 0u);
}

TEST_P(OfiProcesses, NobodyAtTheAddressIsLost) {
  target_->kill_and_reap();
  Ended ended;
  const TimePoint before = real_clock().now();
  read(request(peer_, target_->memory(), 60s), ended);
  RecordProperty("microseconds", static_cast<int>((real_clock().now() - before) / 1us));
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.code(), Code::owner_lost) << ended.message();
  Ended sent;
  endpoint_->send(peer_, std::vector<std::byte>(8), Deadline::after(real_clock(), 60s), sent);
  finish(sent);
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.code(), Code::owner_lost) << sent.message();
}

TEST_P(OfiProcesses, AnAddressOfNobodyEndsAtTheDeadlineAtTheLatest) {
  target_->kill_and_reap();
  std::deque<Ended> ended(3);
  for (Ended& one : ended) endpoint_->read(request(peer_, target_->memory(), 10ms), one);
  for (const Ended& one : ended) {
    finish(one);
    ASSERT_FALSE(one.ok());
    EXPECT_TRUE(one.code() == Code::timed_out || one.code() == Code::owner_lost) << one.message();
  }
}

TEST_P(OfiProcesses, OneStoppedBeforeTheFirstContactIsNotTakenForLost) {
  target_->stop();
  std::deque<Ended> ended(20);
  for (Ended& one : ended) endpoint_->read(request(peer_, target_->memory(), 60s), one);
  // Longer than it takes to find out that nobody listens.
  const Deadline while_stopped = Deadline::after(real_clock(), 100ms);
  while (!while_stopped.passed(real_clock())) endpoint_->wait(while_stopped, 0ns);
  for (const Ended& one : ended) ASSERT_EQ(one.calls, 0) << one.message();
  target_->go_on();
  for (const Ended& one : ended) {
    finish(one);
    ASSERT_TRUE(one.ok()) << one.message();
  }
}

TEST_P(OfiProcesses, ADeadOwnerDoesNotDisturbOthers) {
  const auto other = start({.provider = GetParam(), .seed = 2});
  ASSERT_NE(other, nullptr);
  const PeerId other_peer = connect(*other);
  read_well(peer_, target_->memory(), 1);
  target_->kill_and_reap();
  std::deque<Ended> ended(50);
  for (Ended& one : ended) endpoint_->read(request(peer_, target_->memory(), 60s), one);
  for (int i = 0; i < 50; ++i) ASSERT_NO_FATAL_FAILURE(read_well(other_peer, other->memory(), 2));
  for (const Ended& one : ended) {
    finish(one);
    EXPECT_FALSE(one.ok());
  }
}

TEST_P(OfiProcesses, AClosedEndpointIsLost) {
  read_well(peer_, target_->memory(), 1);
  Ended asked;
  const std::byte close = kCloseYourEndpoint;
  endpoint_->send(peer_, {&close, 1}, Deadline::after(real_clock(), 60s), asked);
  finish(asked);
  const Deadline limit = Deadline::after(real_clock(), 60s);
  for (bool lost = false; !lost;) {
    ASSERT_FALSE(limit.passed(real_clock()));
    Ended ended;
    read(request(peer_, target_->memory(), 60s), ended);
    if (ended.ok()) continue;  // it had not closed yet
    EXPECT_EQ(ended.code(), Code::owner_lost) << ended.message();
    lost = true;
  }
}

TEST_P(OfiProcesses, AStoppedOwnerTimesOutOthersGoOnAndItsAnswerIsTakenLate) {
  if (rdma()) GTEST_SKIP() << "the device answers while the process is stopped";
  const auto other = start({.provider = GetParam(), .seed = 2});
  ASSERT_NE(other, nullptr);
  const PeerId other_peer = connect(*other);
  ASSERT_NO_FATAL_FAILURE(read_well(peer_, target_->memory(), 1));
  target_->stop();

  auto hold = std::make_shared<int>(0);
  const std::weak_ptr<int> held = hold;
  std::vector<std::byte> late(4096);
  ASSERT_TRUE(endpoint_->attach(late).has_value());
  std::deque<Ended> ended(3);
  for (Ended& one : ended)
    endpoint_->read({peer_, target_->memory(), 0, late, hold, Deadline::after(real_clock(), 30ms)}, one);
  hold.reset();
  for (const Ended& one : ended) {
    finish(one);
    ASSERT_FALSE(one.ok());
    EXPECT_EQ(one.code(), Code::timed_out) << one.message();
  }
  EXPECT_EQ(endpoint_->stats().quarantined, 3u);
  EXPECT_FALSE(held.expired());
  for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(read_well(other_peer, other->memory(), 2));
  EXPECT_EQ(endpoint_->stats().quarantined, 3u);

  target_->go_on();
  const Deadline limit = Deadline::after(real_clock(), 60s);
  while (endpoint_->stats().quarantined > 0 && !limit.passed(real_clock()))
    endpoint_->wait(Deadline::after(real_clock(), 10ms), 0ns);
  EXPECT_EQ(endpoint_->stats().quarantined, 0u);
  EXPECT_TRUE(held.expired());
  for (const Ended& one : ended) EXPECT_EQ(one.calls, 1);
  read_well(peer_, target_->memory(), 1);
}

TEST_P(OfiProcesses, ManyReadsOfAStoppedOwnerLeaveRoomForOthers) {
  if (rdma()) GTEST_SKIP() << "the device answers while the process is stopped";
  const auto other = start({.provider = GetParam(), .seed = 2});
  ASSERT_NE(other, nullptr);
  const PeerId other_peer = connect(*other);
  ASSERT_NO_FATAL_FAILURE(read_well(peer_, target_->memory(), 1));
  target_->stop();
  std::deque<Ended> ended(2000);
  std::vector<std::byte> late(4096);
  ASSERT_TRUE(endpoint_->attach(late).has_value());
  for (Ended& one : ended)
    endpoint_->read({peer_, target_->memory(), 0, late, {}, Deadline::after(real_clock(), 60ms)}, one);
  for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(read_well(other_peer, other->memory(), 2));
  for (const Ended& one : ended) {
    finish(one);
    ASSERT_FALSE(one.ok());
    ASSERT_EQ(one.code(), Code::timed_out) << one.message();
  }
  for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(read_well(other_peer, other->memory(), 2));
  EXPECT_GT(endpoint_->stats().quarantined, 0u);
  target_->kill_and_reap();  // what was quarantined ends with it
  const Deadline limit = Deadline::after(real_clock(), 60s);
  while (endpoint_->stats().quarantined > 0 && !limit.passed(real_clock()))
    endpoint_->wait(Deadline::after(real_clock(), 10ms), 0ns);
  EXPECT_EQ(endpoint_->stats().quarantined, 0u);
}

TEST_P(OfiProcesses, OneStartedAgainAtTheSameAddressIsReachedByTheSamePeer) {
  const std::uint16_t port = target_->port();
  if (port == 0 || rdma()) GTEST_SKIP() << "this provider's addresses have no port that could be taken again";
  ASSERT_NO_FATAL_FAILURE(read_well(peer_, target_->memory(), 1));
  const RemoteMemory before = target_->memory();
  target_->kill_and_reap();
  target_ = start({.provider = GetParam(), .seed = 7, .port = port});
  ASSERT_NE(target_, nullptr);
  ASSERT_EQ(target_->port(), port);
  EXPECT_EQ(connect(*target_), peer_);
  ASSERT_NO_FATAL_FAILURE(read_well_again(peer_, target_->memory(), 7));
  // The key of the earlier life opens nothing (where keys are random; a device gives out its own).
  if (rdma()) return;
  EXPECT_NE(before.key, target_->memory().key);
  Ended ended;
  read(request(peer_, before, 60s), ended);
  EXPECT_FALSE(ended.ok());
}

INSTANTIATE_TEST_SUITE_P(Ofi, OfiProcesses, testing::Values("net", "tcp;ofi_rxm", "verbs;ofi_rxm"),
                         [](const testing::TestParamInfo<const char*>& each) {
                           std::string name = each.param;
                           std::replace(name.begin(), name.end(), ';', '_');
                           return name;
                         });

}  // namespace
}  // namespace holdfast::fabric::test

int main(int argc, char** argv) {
  holdfast::fabric::test::run_if_target(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
