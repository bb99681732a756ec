#include "src/eviction.h"

#include <map>
#include <memory>
#include <vector>

#include "tests/core/eviction_models.h"
#include "tests/core/expect.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kCapacity = 100'000;

/// What must hold of every policy.
class EvictionPolicyTest : public ::testing::TestWithParam<Eviction> {
 protected:
  std::unique_ptr<EvictionPolicy> policy_ = make_eviction_policy(GetParam(), kCapacity);
};

/// Random calls, the same to both. Few keys, so that evicted ones come back; sizes from 1 to more than the
/// capacity. What goes in comes out once, in the same order of both.
void expect_agreement(EvictionPolicy& policy, EvictionPolicy& model, std::uint64_t seed) {
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  constexpr std::uint64_t kKeys = 300;
  test::Dice dice(seed);
  std::map<std::uint64_t, std::uint64_t> inside;  // key to bytes
  std::uint64_t bytes = 0;
  const auto evict = [&] {
    const auto key = policy.evict();
    ASSERT_EQ(key, model.evict());
    ASSERT_EQ(key.has_value(), !inside.empty());
    if (!key) return;
    ASSERT_TRUE(inside.contains(*key)) << "came out twice";
    bytes -= inside[*key];
    inside.erase(*key);
  };
  for (int step = 0; step < 40'000; ++step) {
    const std::uint64_t key = dice.below(kKeys), what = dice.below(100);
    if (what < 50) {
      policy.hit(key);
      model.hit(key);
    } else if (what < 90) {
      if (inside.contains(key)) continue;
      const std::uint64_t size = dice.next() >> (63 - dice.below(17));  // as many in each doubling
      policy.insert(key, size);
      model.insert(key, size);
      inside[key] = size;
      bytes += size;
      while (bytes > kCapacity) ASSERT_NO_FATAL_FAILURE(evict());
    } else if (what < 92) {
      policy.set_aside(key);
      model.set_aside(key);
      if (inside.contains(key)) bytes -= inside[key];
      inside.erase(key);
    } else if (what < 96) {
      const bool was_inside = inside.contains(key);
      ASSERT_EQ(policy.erase(key), was_inside);
      ASSERT_EQ(model.erase(key), was_inside);
      if (was_inside) bytes -= inside[key];
      inside.erase(key);
    } else {
      ASSERT_NO_FATAL_FAILURE(evict());
    }
    ASSERT_EQ(policy.size(), inside.size());
    ASSERT_EQ(policy.bytes(), bytes);
  }
  while (!inside.empty()) ASSERT_NO_FATAL_FAILURE(evict());
  ASSERT_NO_FATAL_FAILURE(evict());
}

TEST_P(EvictionPolicyTest, AgreesWithItsModelOnRandomCalls) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto policy = make_eviction_policy(GetParam(), kCapacity);
    std::unique_ptr<EvictionPolicy> model;
    if (GetParam() == Eviction::lru)
      model = std::make_unique<test::LruModel>();
    else
      model = std::make_unique<test::S3FifoModel>(kCapacity);
    ASSERT_NO_FATAL_FAILURE(expect_agreement(*policy, *model, seed));
  }
}

TEST_P(EvictionPolicyTest, AnEmptySetHasNothingToEvict) {
  EXPECT_EQ(policy_->evict(), std::nullopt);
  EXPECT_FALSE(policy_->erase(1));
  policy_->hit(1);
  EXPECT_EQ(policy_->size(), 0U);
  EXPECT_EQ(policy_->bytes(), 0U);
}

TEST_P(EvictionPolicyTest, TheOnlyObjectGoesHoweverLargeOrHot) {
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, 2 * kCapacity}) {
    policy_->insert(bytes, bytes);
    for (int i = 0; i < 5; ++i) policy_->hit(bytes);
    EXPECT_EQ(policy_->bytes(), bytes);
    EXPECT_EQ(policy_->evict(), bytes);
    EXPECT_EQ(policy_->size(), 0U);
  }
}

TEST_P(EvictionPolicyTest, ObjectsOfTheSameUseGoInTheOrderTheyCame) {
  for (std::uint64_t key = 0; key < 100; ++key) policy_->insert(key, 10);
  for (std::uint64_t key = 0; key < 100; ++key) ASSERT_EQ(policy_->evict(), key);
}

TEST_P(EvictionPolicyTest, AHitOnWhatIsNotInTheSetChangesNothing) {
  policy_->insert(1, 10);
  policy_->insert(2, 10);
  EXPECT_EQ(policy_->evict(), 1U);
  for (const std::uint64_t key : {1, 3}) policy_->hit(key);
  EXPECT_EQ(policy_->size(), 1U);
  EXPECT_EQ(policy_->evict(), 2U);
  EXPECT_EQ(policy_->evict(), std::nullopt);
}

TEST_P(EvictionPolicyTest, WhatIsSetAsideIsNotInTheSetUntilItComesBackAsTheNewest) {
  for (const std::uint64_t key : {1, 2, 3}) policy_->insert(key, 10);
  policy_->set_aside(1);
  policy_->set_aside(4);
  EXPECT_EQ(policy_->size(), 2U);
  EXPECT_EQ(policy_->bytes(), 20U);
  EXPECT_FALSE(policy_->erase(1));
  policy_->set_aside(2);
  policy_->insert(2, 30);
  EXPECT_EQ(policy_->bytes(), 40U);
  EXPECT_EQ(policy_->evict(), 3U);
  EXPECT_EQ(policy_->evict(), 2U);
  EXPECT_EQ(policy_->evict(), std::nullopt);
}

TEST_P(EvictionPolicyTest, InsertingTwiceStopsTheProcess) {
  policy_->insert(1, 10);
  EXPECT_DEATH(policy_->insert(1, 10), "twice");
}

TEST_P(EvictionPolicyTest, AMillionObjectsComeOutOnce) {
  constexpr std::uint64_t kObjects = 1'000'000;
  const auto policy = make_eviction_policy(GetParam(), kObjects * 64);
  test::Dice dice(5);
  for (std::uint64_t key = 0; key < kObjects; ++key) policy->insert(key, 64);
  for (std::uint64_t i = 0; i < kObjects; ++i) policy->hit(dice.below(kObjects));
  EXPECT_EQ(policy->size(), kObjects);
  EXPECT_EQ(policy->bytes(), kObjects * 64);
  std::vector<bool> out(kObjects);
  const auto leaves = [&](std::uint64_t key) {
    ASSERT_LT(key, kObjects);
    ASSERT_FALSE(out[key]) << key;
    out[key] = true;
  };
  for (std::uint64_t key = 0; key < kObjects; key += 3) {
    ASSERT_TRUE(policy->erase(key));
    leaves(key);
  }
  while (const auto key = policy->evict()) ASSERT_NO_FATAL_FAILURE(leaves(*key));
  EXPECT_EQ(std::count(out.begin(), out.end(), true), static_cast<std::ptrdiff_t>(kObjects));
  EXPECT_EQ(policy->size(), 0U);
  EXPECT_EQ(policy->bytes(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Policies, EvictionPolicyTest, ::testing::Values(Eviction::lru, Eviction::s3_fifo),
                         [](const auto& tested) {
                           return tested.param == Eviction::lru ? "lru" : "s3_fifo";
                         });

TEST(LruTest, TheLeastRecentlyUsedGoesFirst) {
  const auto lru = make_eviction_policy(Eviction::lru, kCapacity);
  for (const std::uint64_t key : {1, 2, 3, 4}) lru->insert(key, 10);
  lru->hit(1);
  lru->hit(3);
  lru->hit(3);  // the newest already
  lru->hit(1);
  for (const std::uint64_t key : {2, 4, 3, 1}) EXPECT_EQ(lru->evict(), key);
}

}  // namespace
}  // namespace holdfast
