// More who wait, and more that is waited for, than a network takes at once.
#include "tests/sim/cluster_rig.h"

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMany = 1000;

ClusterOptions options() {
  ClusterOptions options;
  options.members = 3;
  options.network.max_waiting = 512;
  options.life.arena_bytes = 4 << 20;
  options.life.catalogue_entries = 4096;
  return options;
}

class WaitersTest : public ::testing::Test {
 protected:
  WaitersTest() : rig_(options()) {
    for (std::size_t i = 0; i < kMany; ++i) {
      drafts_.push_back(rig_.finish(1, rig_.app(1).draft(10, {}, {}, 1s)).value());
      handles_.push_back(rig_.app(1).promise(*drafts_.back()));
      entries_.push_back(handles_.back().entry);
    }
  }
  void seal(std::size_t which) {
    ASSERT_TRUE(rig_.finish(1, rig_.app(1).seal(std::move(drafts_[which]), {}, 1s)).has_value());
  }
  void run_for(Duration time) { rig_.cluster().timeline().run_for(time); }

  ClusterRig rig_;
  std::vector<std::unique_ptr<DraftState>> drafts_;
  std::vector<Handle> handles_;
  std::vector<Entry> entries_;
};

TEST_F(WaitersTest, WhatIsNotSealedIsPendingHoweverMuchOfItThereIs) {
  const auto waited = rig_.finish(0, rig_.app(0).wait_many(entries_, kMany, 2s));
  ASSERT_TRUE(waited.has_value()) << waited.error().message();
  EXPECT_TRUE(waited->ready.empty()) << waited->ready.size();
  EXPECT_EQ(waited->pending.size(), kMany);
}

TEST_F(WaitersTest, AWaitForManyEndsWithTheLastOfThem) {
  const auto waited = rig_.begin(0, rig_.app(0).wait_many(entries_, kMany, 1h));
  run_for(2s);
  for (std::size_t i = 1; i < kMany; ++i) seal(i);
  run_for(2s);
  EXPECT_FALSE(waited->has_value());
  seal(0);
  run_for(1s);
  ASSERT_TRUE(waited->has_value());
  ASSERT_TRUE((*waited)->has_value()) << (*waited)->error().message();
  EXPECT_EQ((**waited)->ready.size(), kMany);
}

TEST_F(WaitersTest, TheLastOfManyCountsAsSoonAsTheFirst) {
  seal(kMany - 1);
  const auto waited = rig_.finish(0, rig_.app(0).wait_many(entries_, 1, 1h));
  ASSERT_TRUE(waited.has_value()) << waited.error().message();
  EXPECT_EQ(waited->ready, std::vector{kMany - 1});
}

TEST_F(WaitersTest, ASilentOwnerHoldsUpNoOther) {
  auto far = rig_.finish(2, rig_.app(2).put(std::vector<std::byte>(10), {}, 1s)).value();
  entries_.push_back(far.entry);
  rig_.cluster().stop({1});
  const auto waited = rig_.finish(0, rig_.app(0).wait_many(entries_, 1, 1h));
  ASSERT_TRUE(waited.has_value()) << waited.error().message();
  EXPECT_EQ(waited->ready, std::vector{kMany});
}

TEST_F(WaitersTest, AllWhoWaitAreToldThoughTheNetworkTakesFewAtOnce) {
  const Key name = rig_.name_at(1);
  std::vector<std::shared_ptr<std::optional<Result<Pin>>>> waiting;
  for (int i = 0; i < 200; ++i)
    waiting.push_back(rig_.begin(0, rig_.app(0).get(name, {}, GetOptions::Missing::wait, 1h)));
  run_for(1s);
  ASSERT_EQ(rig_.job(1).holdings->counts().waiters, 200U);
  rig_.cluster().network().limit_queues(rig_.cluster().process({1}), 8);
  ASSERT_TRUE(rig_.finish(1, rig_.app(1).put(std::vector<std::byte>(10), name, 1s)).has_value());
  run_for(2s);
  for (const auto& one : waiting) ASSERT_TRUE(one->has_value() && (*one)->has_value());
}

// Each put asks the home of its name, which answers more at once than its network takes.
TEST_F(WaitersTest, AllAreAnsweredThoughTheNetworkTakesFewAtOnce) {
  std::vector<std::shared_ptr<std::optional<Result<Handle>>>> puts;
  rig_.cluster().network().limit_queues(rig_.cluster().process({1}), 8);
  for (std::size_t i = 0; i < 300; ++i)
    puts.push_back(rig_.begin(0, rig_.app(0).put(std::vector<std::byte>(10), rig_.name_at(1, i), 1h)));
  run_for(2s);
  for (const auto& put : puts) ASSERT_TRUE(put->has_value() && (*put)->has_value());
}

}  // namespace
}  // namespace holdfast::sim
