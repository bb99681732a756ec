#include "src/s3_fifo.h"

#include <algorithm>
#include <vector>

#include "tests/core/expect.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kObject = 10;                 // bytes
constexpr std::uint64_t kCapacity = 1'000 * kObject;  // of the small sets here
constexpr std::uint64_t kFresh = 1'000'000;           // keys from here on are used once

/// As a cache: what does not fit pushes out others.
struct Cache {
  explicit Cache(std::uint64_t bytes) : capacity(bytes), policy(bytes) {}

  void insert(std::uint64_t key, std::uint64_t bytes = kObject) {
    while (policy.bytes() + bytes > capacity && policy.size() > 0) evicted.push_back(*policy.evict());
    policy.insert(key, bytes);
  }
  void hit(std::uint64_t key, int times) {
    for (int i = 0; i < times; ++i) policy.hit(key);
  }
  /// `count` objects that are never used again.
  void scan(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) insert(fresh++);
  }
  bool was_evicted(std::uint64_t key) const { return std::ranges::count(evicted, key) > 0; }

  std::uint64_t capacity;
  S3Fifo policy;
  std::vector<std::uint64_t> evicted;  ///< in order
  std::uint64_t fresh = kFresh;
};

TEST(S3FifoTest, AScanOfObjectsUsedOnceDoesNotPushOutHotOnes) {
  Cache cache(kCapacity);
  constexpr std::uint64_t kHot = 500;
  for (std::uint64_t key = 0; key < kHot; ++key) cache.insert(key);
  for (std::uint64_t key = 0; key < kHot; ++key) cache.hit(key, 2);
  cache.scan(20 * kCapacity / kObject);
  EXPECT_EQ(std::ranges::count_if(cache.evicted, [](std::uint64_t key) { return key < kHot; }), 0);
}

TEST(S3FifoTest, TheMainQueueGivesRoomOnceTheSmallOneIsWithinItsShare) {
  Cache cache(kCapacity);
  for (std::uint64_t key = 0; key < 1'000; ++key) cache.insert(key);
  for (std::uint64_t key = 0; key < 1'000; ++key) cache.hit(key, 2);
  // The first eviction moves the older nine tenths to the main queue, then takes its oldest.
  cache.insert(kFresh);
  EXPECT_EQ(cache.evicted, (std::vector<std::uint64_t>{0}));
}

TEST(S3FifoTest, OneUseIsNotEnoughToStayAndTwoAre) {
  Cache cache(kCapacity);
  for (const std::uint64_t key : {1, 2, 3}) cache.insert(key);
  cache.hit(2, 1);
  cache.hit(3, 2);
  cache.scan(5'000);
  EXPECT_TRUE(cache.was_evicted(1));
  EXPECT_TRUE(cache.was_evicted(2));
  EXPECT_FALSE(cache.was_evicted(3));
}

TEST(S3FifoTest, WhatComesBackWhileRememberedGoesToTheMainQueue) {
  Cache cache(kCapacity);
  cache.insert(1);
  cache.scan(1'000);
  ASSERT_TRUE(cache.was_evicted(1));
  cache.evicted.clear();
  const std::size_t ghosts = cache.policy.ghosts();
  cache.insert(1);  // evicts another one, which becomes a ghost in its place
  EXPECT_EQ(cache.policy.ghosts(), ghosts);
  cache.scan(5'000);
  EXPECT_FALSE(cache.was_evicted(1)) << "not used since, but not in the small queue either";
}

TEST(S3FifoTest, ToBeSetAsideIsAUseAndTwoAreEnoughToStay) {
  Cache cache(kCapacity);
  for (const std::uint64_t key : {1, 2, 3}) cache.insert(key);
  for (const std::uint64_t key : {2, 3, 3}) {
    cache.policy.set_aside(key);
    cache.insert(key);
  }
  EXPECT_EQ(cache.policy.ghosts(), 0U);
  cache.scan(5'000);
  EXPECT_TRUE(cache.was_evicted(1));
  EXPECT_TRUE(cache.was_evicted(2));
  EXPECT_FALSE(cache.was_evicted(3));
  cache.policy.set_aside(3);
  cache.insert(3);
  cache.scan(5'000);
  EXPECT_FALSE(cache.was_evicted(3)) << "it came back to the main queue";
}

TEST(S3FifoTest, WhatIsSetAsideTakesNoMoreRoomThanGhosts) {
  S3Fifo policy(kCapacity);
  for (std::uint64_t key = 0; key < 10'000; ++key) {
    policy.insert(key, kObject);
    policy.set_aside(key);
    ASSERT_EQ(policy.size(), 0U);
    ASSERT_LE(policy.ghosts(), policy.most_ghosts());
    ASSERT_LE(policy.ghost_bytes(), policy.most_ghost_bytes());
  }
}

TEST(S3FifoTest, AHitOnAGhostCountsForNothing) {
  S3Fifo policy(kCapacity);
  policy.insert(1, kObject);
  ASSERT_EQ(policy.evict(), 1U);
  for (int i = 0; i < 5; ++i) policy.hit(1);
  policy.insert(1, kObject);  // to the main queue
  policy.insert(2, kObject);
  policy.hit(2);
  policy.hit(2);
  // 2 moves behind 1, which has no use to its account.
  EXPECT_EQ(policy.evict(), 1U);
}

TEST(S3FifoTest, EachUseIsWorthARoundInTheMainQueueUpToThree) {
  S3Fifo policy(kCapacity);
  for (const std::uint64_t key : {1, 2, 3}) {
    policy.insert(key, kObject);
    ASSERT_EQ(policy.evict(), key);
    policy.insert(key, kObject);
  }
  for (int i = 0; i < 100; ++i) policy.hit(1);
  for (int i = 0; i < 3; ++i) policy.hit(2);
  policy.hit(3);
  // 1 is as good as 2, and came before.
  for (const std::uint64_t key : {3, 1, 2}) EXPECT_EQ(policy.evict(), key);
}

TEST(S3FifoTest, AnErasedObjectLeavesNoGhostAndAnErasedGhostIsForgotten) {
  Cache cache(kCapacity);
  for (const std::uint64_t key : {1, 2}) cache.insert(key);
  EXPECT_TRUE(cache.policy.erase(1));
  EXPECT_EQ(cache.policy.ghosts(), 0U);
  ASSERT_EQ(cache.policy.evict(), 2U);
  EXPECT_EQ(cache.policy.ghosts(), 1U);
  EXPECT_FALSE(cache.policy.erase(2)) << "it is not in the set";
  EXPECT_EQ(cache.policy.ghosts(), 0U);
  EXPECT_EQ(cache.policy.ghost_bytes(), 0U);
  // Both are new when they come back.
  for (const std::uint64_t key : {1, 2}) cache.insert(key);
  cache.scan(5'000);
  EXPECT_TRUE(cache.was_evicted(1));
  EXPECT_TRUE(cache.was_evicted(2));
}

TEST(S3FifoTest, WhatTheMainQueueEvictsIsNotRemembered) {
  S3Fifo policy(kCapacity);
  policy.insert(1, kObject);
  ASSERT_EQ(policy.evict(), 1U);
  policy.insert(1, kObject);
  ASSERT_EQ(policy.ghosts(), 0U);
  ASSERT_EQ(policy.evict(), 1U);
  EXPECT_EQ(policy.ghosts(), 0U);
}

TEST(S3FifoTest, GhostsAreBoundedInNumberAndTheOldestGoFirst) {
  S3Fifo policy(4 << 20);
  const std::uint64_t most = policy.most_ghosts();
  ASSERT_EQ(most, S3Fifo::kLeastGhosts);
  for (std::uint64_t key = 0; key < 3 * most; ++key) {
    policy.insert(key, 1);
    ASSERT_EQ(policy.evict(), key);
    ASSERT_EQ(policy.ghosts(), std::min(key + 1, most));
  }
  policy.insert(2 * most - 1, 1);
  EXPECT_EQ(policy.ghosts(), most) << "it was forgotten";
  policy.insert(2 * most, 1);
  EXPECT_EQ(policy.ghosts(), most - 1) << "it was remembered";
}

TEST(S3FifoTest, GhostsAreBoundedInBytes) {
  S3Fifo policy(kCapacity);
  EXPECT_EQ(policy.most_ghost_bytes(), kCapacity / 10 * 9);
  test::Dice dice(3);
  for (std::uint64_t key = 0; key < 10'000; ++key) {
    policy.insert(key, dice.below(kCapacity / 20));
    ASSERT_EQ(policy.evict(), key);
    ASSERT_LE(policy.ghost_bytes(), policy.most_ghost_bytes());
  }
  EXPECT_GT(policy.ghost_bytes(), policy.most_ghost_bytes() / 2);
  policy.insert(kFresh, kCapacity);
  ASSERT_EQ(policy.evict(), kFresh);
  EXPECT_EQ(policy.ghosts(), 0U) << "larger than all that may be remembered";
}

TEST(S3FifoTest, MemoryForGhostsIsBoundedWhateverTheCapacity) {
  EXPECT_EQ(S3Fifo(0).most_ghosts(), S3Fifo::kLeastGhosts);
  EXPECT_EQ(S3Fifo(std::uint64_t{1} << 30).most_ghosts(), std::size_t{1} << 18);
  EXPECT_EQ(S3Fifo(UINT64_MAX).most_ghosts(), S3Fifo::kMostGhosts);
}

TEST(S3FifoTest, TheSmallQueueHasItsShareOfBytesNotOfObjects) {
  // What passes through is a hundred times as large as what is hot: a few objects, and most of the bytes.
  Cache cache(10 * kCapacity);
  constexpr std::uint64_t kHot = 900;
  for (std::uint64_t key = 0; key < kHot; ++key) cache.insert(key);
  for (std::uint64_t key = 0; key < kHot; ++key) cache.hit(key, 2);
  for (std::uint64_t i = 0; i < 1'000; ++i) cache.insert(kFresh + i, 100 * kObject);
  EXPECT_LT(10 * (cache.policy.size() - kHot), cache.policy.size());
  EXPECT_EQ(std::ranges::count_if(cache.evicted, [](std::uint64_t key) { return key < kHot; }), 0);
}

TEST(S3FifoTest, ASetThatDoesNotFillItsCapacityHasASmallQueueAllTheSame) {
  S3Fifo policy(1'000 * kCapacity);
  for (const std::uint64_t key : {1, 2, 3}) {
    policy.insert(key, kObject);
    ASSERT_EQ(policy.evict(), key);
    policy.insert(key, kObject);
  }
  policy.insert(4, kObject);
  EXPECT_EQ(policy.evict(), 4U) << "a quarter of what is there";
}

TEST(S3FifoTest, OneEvictionPassesOverABoundedNumberOfHotObjects) {
  constexpr std::uint64_t kPassed = S3Fifo::kMostPassedOver;
  S3Fifo policy(kCapacity);
  for (std::uint64_t key = 0; key < 3 * kPassed; ++key) policy.insert(key, kObject);
  for (std::uint64_t key = 0; key < 3 * kPassed; ++key)
    for (int i = 0; i < 3; ++i) policy.hit(key);
  EXPECT_EQ(policy.evict(), kPassed);
  EXPECT_EQ(policy.size(), 3 * kPassed - 1);
}

}  // namespace
}  // namespace holdfast
