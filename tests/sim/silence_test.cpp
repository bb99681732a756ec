// Who is not heard of, though the network takes what is sent to it: a host without power behind TCP, a
// process that is stopped, a way that leads in one direction only.
#include <chrono>

#include "tests/sim/cluster_rig.h"

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

class SilenceTest : public ::testing::Test {
 protected:
  SilenceTest() : rig_(options()), cluster_(rig_.cluster()) {}

  /// Four members on a host each. The network itself never finds out.
  static ClusterOptions options() {
    ClusterOptions options;
    options.members = 4;
    options.members_per_host = 1;
    options.life.lifetime.collect = Collect::eager;
    options.life.lifetime.token_lifetime = 1s;
    options.life.lifetime.member_timeout = 10s;
    options.network.detection_time = 1h;
    return options;
  }
  Application& app(std::uint32_t rank) { return rig_.app(rank); }
  std::uint64_t objects(std::uint32_t rank) { return rig_.job(rank).holdings->counts().objects; }
  void run_for(Duration time) { cluster_.timeline().run_for(time); }

  /// `holder` alone keeps an object of `owner`'s.
  Handle held(std::uint32_t owner, std::uint32_t holder) {
    const std::vector<std::byte> bytes(1000);
    const Handle made = rig_.finish(owner, app(owner).put(bytes, {}, 1s)).value();
    return rig_.finish(holder, app(holder).redeem(app(owner).token(made), 1s)).value();
  }
  Result<Pin> get(std::uint32_t rank, const Entry& entry) {
    return rig_.finish(rank, app(rank).get(entry, {}, GetOptions::Missing::fail, 1s));
  }

  ClusterRig rig_;
  Cluster& cluster_;
};

TEST_F(SilenceTest, AHostThatSaysNothingIsGivenUpThoughTheNetworkTakesWhatIsSentToIt) {
  const Handle handle = held(0, 2);
  run_for(5s);
  ASSERT_EQ(objects(0), 1U);
  const HostId one[] = {cluster_.host({0})}, other[] = {cluster_.host({2})};
  cluster_.network().partition(one, other);
  run_for(9s);
  EXPECT_EQ(objects(0), 1U) << "too early";
  run_for(4s);
  EXPECT_EQ(objects(0), 0U);
}

TEST_F(SilenceTest, ASilenceThatEndsInTimeIsForgotten) {
  const Handle handle = held(0, 2);
  const HostId one[] = {cluster_.host({0})}, other[] = {cluster_.host({2})};
  for (int times = 0; times < 4; ++times) {
    cluster_.network().partition(one, other);
    run_for(9s);
    cluster_.network().heal();
    run_for(2s);
  }
  EXPECT_EQ(objects(0), 1U);
}

TEST_F(SilenceTest, WhoStoodStillHimselfGivesNobodyUp) {
  const Handle handle = held(0, 2);
  for (int times = 0; times < 4; ++times) {
    cluster_.stop({0});
    run_for(30s);
    cluster_.resume({0});
    run_for(100ms);
  }
  run_for(5s);
  EXPECT_EQ(objects(0), 1U);
}

TEST_F(SilenceTest, WhoWasStoppedForLongIsGivenUpAndFindsOut) {
  const std::vector<std::byte> bytes(1000);
  const Handle lost = held(0, 2);
  const Handle kept = rig_.finish(0, app(0).put(bytes, {}, 1s)).value();
  const Handle both = rig_.finish(2, app(2).redeem(app(0).token(kept), 1s)).value();
  run_for(5s);
  cluster_.stop({2});
  run_for(15s);
  EXPECT_EQ(objects(0), 1U);
  cluster_.resume({2});
  EXPECT_EQ(get(2, lost.entry).error().code, Code::not_found);
  const auto anew = rig_.finish(2, app(2).redeem(app(0).token(kept), 1s));
  ASSERT_TRUE(anew.has_value()) << anew.error().message();
  EXPECT_EQ(rig_.job(0).holdings->counts().held_elsewhere, 1U) << "held anew, not shared";
}

TEST_F(SilenceTest, WhoIsNotHeardThoughHeHearsSharesNothing) {
  const Handle handle = held(0, 2);
  const PassedToken token = app(2).token(handle);
  run_for(5s);
  const HostId one[] = {cluster_.host({2})}, other[] = {cluster_.host({0})};
  cluster_.network().cut(one, other);
  run_for(9s);
  const auto doubtful = rig_.finish(2, app(2).redeem(token, 1s));
  EXPECT_FALSE(doubtful.has_value()) << "its owner may give this member up at any moment";
  run_for(4s);
  EXPECT_EQ(objects(0), 0U);
  cluster_.network().heal();
  run_for(2s);
  EXPECT_EQ(rig_.finish(2, app(2).redeem(token, 1s)).error().code, Code::expired);
}

TEST_F(SilenceTest, WhoWasStoppedWhileHeWaitedIsToldAllTheSame) {
  const Key name = rig_.name_at(1);
  const auto got = rig_.begin(2, app(2).get(name, {}, GetOptions::Missing::wait, 1h));
  run_for(1s);
  cluster_.stop({2});
  run_for(30s);
  cluster_.resume({2});
  run_for(1s);
  const std::vector<std::byte> bytes(1000);
  ASSERT_TRUE(rig_.finish(3, app(3).put(bytes, name, 1s)).has_value());
  run_for(1s);
  ASSERT_TRUE(got->has_value());
  EXPECT_TRUE((*got)->has_value()) << (*got)->error().message();
}

/// The owner counts the hold while who has asked for it does not hear that, and gives him up.
TEST_F(SilenceTest, AHoldWhoseAnswerLayThereForLongIsAskedForAgain) {
  const std::vector<std::byte> bytes(1000);
  std::optional<Handle> made = rig_.finish(0, app(0).put(bytes, {}, 1s)).value();
  const auto got = rig_.begin(2, app(2).redeem(app(0).token(*made), 1h));
  rig_.run_until([&] { return rig_.job(0).holdings->counts().held_elsewhere == 1; });
  ASSERT_FALSE(got->has_value()) << "the answer should be on its way";
  cluster_.stop({2});
  made.reset();
  run_for(20s);
  EXPECT_EQ(objects(0), 0U);
  cluster_.resume({2});
  run_for(1s);
  ASSERT_TRUE(got->has_value());
  EXPECT_FALSE((*got)->has_value()) << "a handle of what is gone";
}

TEST_F(SilenceTest, ProbesAndTheirAnswersAreNoRequests) {
  const Handle handle = held(0, 2);
  run_for(5s);
  const std::uint64_t sent[] = {rig_.job(0).counters.sum(Count::reference_messages),
                                rig_.job(2).counters.sum(Count::reference_messages)};
  run_for(10s);
  EXPECT_LE(rig_.job(0).counters.sum(Count::reference_messages) - sent[0], 20U) << "one each half second";
  EXPECT_EQ(rig_.job(2).counters.sum(Count::reference_messages), sent[1]);
}

}  // namespace
}  // namespace holdfast::sim
