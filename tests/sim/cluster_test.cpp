// Simulated members do what real ones do, one call at a time.
#include "sim/cluster.h"

#include <algorithm>
#include <cstring>

#include "tests/sim/cluster_rig.h"

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> bytes_of(std::size_t size, int seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(mix64(static_cast<std::uint64_t>(seed) + i));
  return bytes;
}

class ClusterTest : public ::testing::TestWithParam<SameHost> {
 protected:
  /// Four members, two a host.
  void start(std::uint32_t disks = 0, std::uint32_t spill_above = 80) {
    ClusterOptions options;
    options.members = 4;
    options.members_per_host = 2;
    options.disks = disks;
    options.life.lifetime.spill.above_percent = spill_above;
    options.life.same_host = GetParam();
    options.life.lifetime.collect = Collect::eager;
    options.life.lifetime.token_lifetime = 1s;
    options.life.lifetime.member_timeout = 2s;
    options.network.detection_time = 100ms;
    rig_.emplace(options);
    cluster_ = &rig_->cluster();
  }
  Application& app(std::uint32_t rank) { return rig_->app(rank); }
  template <class T>
  T finish(std::uint32_t rank, Task<T> task) {
    return rig_->finish(rank, std::move(task));
  }
  Holdings::Counts counts(std::uint32_t rank) { return rig_->job(rank).holdings->counts(); }
  std::uint64_t objects(std::uint32_t rank) { return counts(rank).objects; }
  Key name_at(std::uint32_t home, std::uint32_t which = 0) { return rig_->name_at(home, which); }

  /// What is coldest in memory may have to go first.
  void run_until_on_disk(std::uint64_t count) {
    cluster_->timeline().run_for(1s);
    ASSERT_EQ(counts(0).on_disk, count);
  }

  std::optional<ClusterRig> rig_;
  Cluster* cluster_ = nullptr;  ///< of the rig
};

TEST_P(ClusterTest, GetsWhatOthersHavePut) {
  start();
  const auto bytes = bytes_of(100'000, 1);
  const Key key = key_of(name("shared")).value();
  const auto put = finish(0, app(0).put(bytes, key, 1s));
  ASSERT_TRUE(put.has_value()) << put.error().message();
  for (std::uint32_t rank = 0; rank < 4; ++rank) {
    const auto pin = finish(rank, app(rank).get(key, {}, GetOptions::Missing::wait, 1s));
    ASSERT_TRUE(pin.has_value()) << "rank " << rank << ": " << pin.error().message();
    EXPECT_EQ(std::memcmp(pin->bytes().data(), bytes.data(), bytes.size()), 0);
  }
}

TEST_P(ClusterTest, ATokenKeepsAndAHoldKeepsAndTheLastDropFrees) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  ASSERT_TRUE(made.has_value()) << made.error().message();
  const PassedToken token = app(0).token(*made);
  *made = {};
  cluster_->timeline().run_for(500ms);
  EXPECT_EQ(objects(0), 1U) << "the token keeps it";
  auto held = finish(1, app(1).redeem(token, 1s));
  ASSERT_TRUE(held.has_value()) << held.error().message();
  cluster_->timeline().run_for(3s);
  EXPECT_EQ(objects(0), 1U) << "the hold keeps it, the token is gone";
  auto other = finish(2, app(2).redeem(app(1).token(*held), 1s));
  ASSERT_TRUE(other.has_value()) << other.error().message();
  *held = {};
  cluster_->timeline().run_for(3s);
  EXPECT_EQ(objects(0), 1U) << "who redeemed the second token keeps it";
  *other = {};
  cluster_->timeline().run_for(3s);
  EXPECT_EQ(objects(0), 0U);
}

TEST_P(ClusterTest, ADeathDropsExactlyTheHoldsOfTheDead) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  const PassedToken token = app(0).token(*made);
  auto one = finish(1, app(1).redeem(token, 1s));
  auto other = finish(2, app(2).redeem(token, 1s));
  ASSERT_TRUE(one.has_value() && other.has_value());
  *made = {};
  cluster_->timeline().run_for(5s);
  cluster_->crash({1});
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 1U);
  cluster_->crash({2});
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 0U);
}

TEST_P(ClusterTest, ANetworkThatIsAwayForAWhileDropsNothing) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  const auto held = finish(2, app(2).redeem(app(0).token(*made), 1s));
  ASSERT_TRUE(held.has_value());
  *made = {};
  cluster_->timeline().run_for(5s);
  const HostId one[] = {cluster_->host({0})}, other[] = {cluster_->host({2})};
  cluster_->network().partition(one, other);
  cluster_->timeline().run_for(1800ms);
  cluster_->network().heal();
  cluster_->timeline().run_for(10s);
  EXPECT_EQ(objects(0), 1U);
  cluster_->network().partition(one, other);
  cluster_->timeline().run_for(4s);
  EXPECT_EQ(objects(0), 0U) << "away for longer, it counts as dead";
}

TEST_P(ClusterTest, ANameGoesWithItsHome) {
  start();
  const Key lost[] = {name_at(2), name_at(2, 1)}, stays = name_at(1);
  const auto kept = finish(0, app(0).put(bytes_of(1000, 1), lost[0], 1s));
  for (const Key& name : {lost[1], stays}) {
    const auto put = finish(0, app(0).put(bytes_of(1000, 2), name, 1s));
    ASSERT_TRUE(put.has_value()) << put.error().message();
  }
  cluster_->timeline().run_for(30s);
  EXPECT_EQ(objects(0), 3U) << "names keep them";
  cluster_->crash({2});
  cluster_->timeline().run_for(10s);
  EXPECT_EQ(objects(0), 2U) << "a handle keeps one, another name the other";
  const auto pin = finish(3, app(3).get(stays, {}, GetOptions::Missing::fail, 1s));
  EXPECT_TRUE(pin.has_value()) << pin.error().message();
}

TEST_P(ClusterTest, WhoWaitsAndDiesGivesHisPlaceBack) {
  start();
  spawn(app(2).get(name_at(1), {}, GetOptions::Missing::wait, 1h), [](const Result<Pin>&) {});
  cluster_->life({2})->nudge();
  cluster_->timeline().run_for(10s);
  EXPECT_EQ(counts(1).waiters, 1U);
  cluster_->crash({2});
  cluster_->timeline().run_for(10s);
  EXPECT_EQ(counts(1).waiters, 0U);
}

TEST_P(ClusterTest, AMemberThatComesBackIsAStrangerAndItsFormerHoldsGo) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  const PassedToken token = app(0).token(*made);
  auto held = finish(2, app(2).redeem(token, 1s));
  ASSERT_TRUE(held.has_value()) << held.error().message();
  *made = {};
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 1U);
  cluster_->crash({2});
  cluster_->restart({2});
  // It is there, at the old address, and answers; but it is not who holds the object.
  cluster_->timeline().run_for(10s);
  EXPECT_EQ(objects(0), 0U);
  const auto put = finish(0, app(0).put(bytes_of(10, 3), {}, 1s));
  const auto refused = finish(2, app(2).redeem(app(0).token(*put), 1s));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::denied) << refused.error().message();
}

TEST_P(ClusterTest, GetsOfWhatTheDeadOwnedSaySo) {
  start();
  const auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  auto near = finish(1, app(1).redeem(app(0).token(*made), 1s));
  auto far = finish(2, app(2).redeem(app(0).token(*made), 1s));
  ASSERT_TRUE(near.has_value() && far.has_value());
  cluster_->crash({0});
  for (const std::uint32_t rank : {1U, 2U}) {
    const auto pin =
        finish(rank, app(rank).get((rank == 1 ? near : far)->entry, {}, GetOptions::Missing::wait, 1s));
    ASSERT_FALSE(pin.has_value());
    EXPECT_EQ(pin.error().code, Code::owner_lost) << pin.error().message();
  }
}

TEST_P(ClusterTest, ALeavingMemberIsMissedAtOnce) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  auto held = finish(2, app(2).redeem(app(0).token(*made), 1s));
  ASSERT_TRUE(held.has_value());
  *made = {};
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 1U);
  cluster_->leave({2});
  cluster_->timeline().run_for(100ms);
  EXPECT_EQ(objects(0), 0U);
  EXPECT_EQ(cluster_->life({2}), nullptr);
}

TEST_P(ClusterTest, ATokenMadeJustBeforeItsMakerLeavesIsGood) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  const auto held = finish(2, app(2).redeem(app(0).token(*made), 1s));
  ASSERT_TRUE(held.has_value());
  *made = {};
  cluster_->timeline().run_for(5s);
  const PassedToken token = app(2).token(*held);
  cluster_->leave({2});
  cluster_->timeline().run_for(100ms);
  ASSERT_EQ(cluster_->life({2}), nullptr);
  const auto got = finish(3, app(3).redeem(token, 1s));
  ASSERT_TRUE(got.has_value()) << got.error().message();
  EXPECT_EQ(objects(0), 1U);
}

TEST_P(ClusterTest, WhatDoesNotFitGoesToDiskAndComesBack) {
  start(1);
  std::vector<Handle> made;
  for (int seed = 0; seed < 40; ++seed) {  // three arenas full, all kept
    auto put = finish(0, app(0).put(bytes_of(20'000, seed), {}, 1s));
    ASSERT_TRUE(put.has_value()) << seed << ": " << put.error().message();
    made.push_back(std::move(*put));
  }
  EXPECT_GT(counts(0).on_disk, 20U);
  cluster_->timeline().run_for(20s);
  for (const std::uint32_t rank : {0U, 1U, 2U}) {
    for (int seed = 0; seed < 40; ++seed) {
      const Entry entry = made[static_cast<std::size_t>(seed)].entry;
      const auto pin = finish(rank, app(rank).get(entry, {}, GetOptions::Missing::wait, 1s));
      ASSERT_TRUE(pin.has_value()) << rank << ", " << seed << ": " << pin.error().message();
      EXPECT_TRUE(std::ranges::equal(pin->bytes(), bytes_of(20'000, seed)));
    }
    if (rank > 0) continue;
    EXPECT_GT(counts(0).restored_bytes, rig_->job(0).holdings->arena_bytes());
    EXPECT_EQ(counts(0).thrashing, 0U) << "it was read through once, long after it had left";
  }
  EXPECT_GT(counts(0).thrashing, 0U) << "what has just left comes back, again and again";
  made.clear();
  cluster_->timeline().run_for(1s);
  EXPECT_EQ(counts(0).objects, 0U);
  EXPECT_EQ(counts(0).on_disk, 0U);
  for (const auto& disk : cluster_->disks({0}))
    EXPECT_LE(disk->used(), 512U * 1024) << "an open file and one in reserve";
}

/// It was put among those that can be written, and left memory nevertheless: the next look there was fatal.
TEST_P(ClusterTest, AHandleMayGoWhileItsObjectIsWritten) {
  start(1, 1);
  auto made = finish(0, app(0).put(bytes_of(20'000, 1), {}, 1s));
  auto other = finish(0, app(0).redeem(app(0).token(*made), 1s));
  ASSERT_TRUE(made.has_value() && other.has_value());
  Holdings& holdings = *cluster_->life({0})->job().holdings;
  const auto spill = holdings.next_spill();
  ASSERT_TRUE(spill.has_value());
  *other = {};
  holdings.spilled(*spill, 1);
  EXPECT_EQ(holdings.counts().on_disk, 1U);
  EXPECT_FALSE(holdings.next_spill().has_value());
  *made = {};
  cluster_->timeline().run_for(3s);
  EXPECT_EQ(objects(0), 0U);
}

/// It waits for what is pinned, and who has it pinned may need just the others to go on.
TEST_P(ClusterTest, AGetThatFindsNoRoomStopsNobodyElse) {
  start(1);
  const auto small = finish(0, app(0).put(bytes_of(1'000, 1), {}, 1s)).value();
  const auto middle = finish(0, app(0).put(bytes_of(40'000, 2), {}, 1s)).value();
  const auto large = finish(0, app(0).put(bytes_of(120'000, 3), {}, 1s)).value();
  const auto pinned = finish(0, app(0).put(bytes_of(140'000, 4), {}, 1s)).value();
  const auto fetch = [&](const Handle& handle, Duration timeout) {
    return app(0).get(handle.entry, {}, GetOptions::Missing::wait, timeout);
  };
  std::optional<Pin> pin = finish(0, fetch(pinned, 10s)).value();
  run_until_on_disk(3);
  const auto waits = rig_->begin(0, fetch(large, 1h));
  cluster_->timeline().run_for(100ms);
  ASSERT_FALSE(waits->has_value()) << "it should find no room";
  const TimePoint asked = cluster_->timeline().now();
  ASSERT_TRUE(finish(0, fetch(small, 10s)).has_value());
  EXPECT_LT(cluster_->timeline().now() - asked, 100ms) << "there is the reserve for it";
  EXPECT_TRUE(finish(0, fetch(middle, 10s)).has_value()) << "larger than the reserve";
  const auto put = finish(0, app(0).put(bytes_of(1'000, 5), {}, 10s));
  EXPECT_TRUE(put.has_value()) << put.error().message();
  EXPECT_FALSE(waits->has_value());
  // Those behind do not keep it from the room that comes.
  pin.reset();
  for (int gets = 0; gets < 1'000 && !waits->has_value(); ++gets) {
    (void)finish(0, fetch(small, 1s));
    cluster_->timeline().run_for(1ms);
  }
  ASSERT_TRUE(waits->has_value());
  EXPECT_TRUE((*waits)->has_value()) << (*waits)->error().message();
}

TEST_P(ClusterTest, PrefetchesThatFindNoRoomGiveWayTogether) {
  start(1);
  std::vector<Handle> made;
  for (int seed = 0; seed < 10; ++seed)
    made.push_back(finish(0, app(0).put(bytes_of(130'000, seed), {}, 1s)).value());
  const auto small = finish(0, app(0).put(bytes_of(1'000, 10), {}, 1s)).value();
  const auto pinned = finish(0, app(0).put(bytes_of(140'000, 11), {}, 1s)).value();
  const auto pin = finish(0, app(0).get(pinned.entry, {}, GetOptions::Missing::wait, 10s));
  ASSERT_TRUE(pin.has_value()) << pin.error().message();
  run_until_on_disk(11);
  for (const Handle& handle : made) app(0).prefetch(handle.entry);
  cluster_->life({0})->nudge();
  cluster_->timeline().run_for(100ms);
  EXPECT_EQ(counts(0).returning, 10U);
  const TimePoint began = cluster_->timeline().now();
  const auto put = finish(0, app(0).put(bytes_of(1'000, 12), {}, 10s));
  EXPECT_TRUE(put.has_value()) << put.error().message();
  const auto got = finish(0, app(0).get(small.entry, {}, GetOptions::Missing::wait, 10s));
  EXPECT_TRUE(got.has_value()) << got.error().message();
  EXPECT_LT(cluster_->timeline().now() - began, 500ms) << "who waits goes before who does not";
  cluster_->timeline().run_for(2s);
  EXPECT_EQ(counts(0).returning, 0U) << "a second for all of them, not for each";
  EXPECT_FALSE(rig_->job(0).holdings->short_of_room());
}

/// A put that waited and has gone does not have objects written for ever after.
TEST_P(ClusterTest, WhoWaitedForRoomAndHasGoneWantsNoneAnyMore) {
  start(1);
  std::vector<Handle> made;
  for (int seed = 0; seed < 20; ++seed)
    made.push_back(finish(0, app(0).put(bytes_of(20'000, seed), {}, 1s)).value());
  auto draft = finish(0, app(0).draft(120'000, {}, {}, 1s));
  ASSERT_TRUE(draft.has_value()) << draft.error().message();
  EXPECT_EQ(finish(0, app(0).draft(180'000, {}, {}, 100ms)).error().code, Code::full);
  app(0).abandon(std::move(*draft));
  made.clear();
  cluster_->timeline().run_for(1s);
  EXPECT_FALSE(cluster_->life({0})->job().holdings->short_of_room());
  const std::uint64_t events = cluster_->timeline().events_run();
  cluster_->timeline().run_for(60s);
  EXPECT_LT(cluster_->timeline().events_run() - events, 1'000U) << "it sleeps";
}

INSTANTIATE_TEST_SUITE_P(SameHost, ClusterTest, ::testing::Values(SameHost::memory, SameHost::fabric),
                         [](const auto& how) { return how.param == SameHost::memory ? "memory" : "fabric"; });

}  // namespace
}  // namespace holdfast::sim
