// How long objects live, in one process: handles, names, tokens, and room that is made.
#include <algorithm>

#include "tests/core/store_fixture.h"

namespace holdfast::test {
namespace {

class StoreLifetimeTest : public StoreTest {
 protected:
  static Store open_with(Collect collect, Duration token_lifetime = 60s) {
    StoreOptions options = small_options();
    options.lifetime.collect = collect;
    options.lifetime.token_lifetime = token_lifetime;
    return open(options);
  }
  static bool becomes_cached(Store& store, std::uint64_t objects) {
    return comes_true([&] { return store.stats().cached == objects; });
  }
};

TEST_F(StoreLifetimeTest, WhatNothingKeepsStaysAsCacheAndCanBeHeldAgain) {
  Store store = open_with(Collect::lazy);
  ObjectRef ref = put(store, 1000, 1);
  ObjectRef copy = ref;
  ref = ObjectRef();
  EXPECT_TRUE(good(store.get(copy, 0s)));
  const ObjectId id = copy.id();
  const std::string token = copy.token();
  copy = ObjectRef();
  EXPECT_EQ(store.stats().objects, 1U);
  EXPECT_EQ(store.stats().cached, 0U) << "its token keeps it";
  const auto again = store.redeem(token);
  ASSERT_TRUE(good(again));
  EXPECT_EQ(again->id(), id);
  EXPECT_TRUE(is_pattern(store.get(*again, 0s).value().bytes(), 1));
}

TEST_F(StoreLifetimeTest, WhatIsCachedIsFoundByItsIdUntilItsRoomIsNeeded) {
  Store store = open_with(Collect::lazy);
  const ObjectId id = put(store, 1000, 1).id();
  ASSERT_TRUE(becomes_cached(store, 1));
  {
    const auto found = store.find(id, kLong);
    ASSERT_TRUE(good(found));
    EXPECT_EQ(store.stats().cached, 0U) << "it is held again";
    EXPECT_TRUE(is_pattern(store.get(*found, 0s).value().bytes(), 1));
  }
  ASSERT_TRUE(becomes_cached(store, 1));
  ASSERT_TRUE(good(store.erase(store.find(id, kLong).value(), 0s)));
  EXPECT_TRUE(fails(store.find(id, kLong), Code::not_found, id.to_hex()));
  EXPECT_TRUE(fails(store.find({id.high + 1, id.low}, kLong), Code::invalid, "another job"));
}

/// Objects that were held and dropped often, of which so many are left after others, each held once.
std::uint64_t left_after_a_scan(Store store) {
  constexpr std::uint64_t kHot = 8, kScan = 200;
  const auto put_and_drop = [&store](std::uint64_t seed) {
    const auto ref = store.put(pattern(1_MiB, seed));
    EXPECT_TRUE(good(ref));
    return ref->id();
  };
  std::vector<ObjectId> hot;
  for (std::uint64_t i = 0; i < kHot; ++i) hot.push_back(put_and_drop(i));
  for (int round = 0; round < 5; ++round)
    for (const ObjectId& id : hot) EXPECT_TRUE(good(store.find(id, kLong)));
  for (std::uint64_t i = 0; i < kScan; ++i) EXPECT_TRUE(good(store.find(put_and_drop(i), kLong)));
  return static_cast<std::uint64_t>(
      std::ranges::count_if(hot, [&](const ObjectId& id) { return store.find(id, kLong).has_value(); }));
}

TEST_F(StoreLifetimeTest, WhatIsHeldOftenSurvivesAScanWithS3FifoAndNotWithLru) {
  StoreOptions options = small_options();
  options.lifetime.eviction = Eviction::s3_fifo;
  EXPECT_EQ(left_after_a_scan(open(options)), 8U);
  options.lifetime.eviction = Eviction::lru;
  EXPECT_EQ(left_after_a_scan(open(options)), 0U);
}

TEST_F(StoreLifetimeTest, AReferenceThatWasMovedFromRefersToNothing) {
  Store store = open_with(Collect::lazy);
  ObjectRef from = put(store, 1000, 1);
  const ObjectId id = from.id();
  ObjectRef to = std::move(from);
  const auto expect_empty = [&store](const ObjectRef& moved) {
    EXPECT_FALSE(moved);
    EXPECT_EQ(moved, ObjectRef());
    EXPECT_EQ(moved.size(), 0U);
    EXPECT_EQ(moved.token(), "");
    EXPECT_FALSE(moved.is_ready());
    EXPECT_TRUE(fails(store.get(moved, 0s), Code::invalid, "empty"));
    EXPECT_TRUE(fails(store.get_many(std::vector{moved}, 0s)[0], Code::invalid, "empty"));
    EXPECT_TRUE(fails(store.wait(std::vector{moved}, 1, 0s), Code::invalid, "empty"));
    EXPECT_TRUE(fails(store.put(pattern(1, 1), {.parts = {moved}}), Code::invalid, "empty"))
        << "a part that is not kept";
    EXPECT_TRUE(fails(store.erase(moved, 0s), Code::invalid, "empty"));
  };
  expect_empty(from);  // NOLINT(bugprone-use-after-move)
  ObjectRef last = put(store, 10, 2);
  last = std::move(to);
  expect_empty(to);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(last.id(), id);
  EXPECT_TRUE(becomes_cached(store, 1)) << "what was assigned to has let go of its own";
  ObjectRef& same = last;
  last = std::move(same);
  EXPECT_EQ(last.id(), id);
  EXPECT_TRUE(is_pattern(store.get(last, 0s).value().bytes(), 1)) << "moving keeps the object";
}

TEST_F(StoreLifetimeTest, CachedObjectsMakeRoomOldestFirst) {
  Store store = open_with(Collect::lazy);
  constexpr std::uint64_t kSize = 5_MiB;
  std::vector<ObjectRef> refs;
  auto ref = store.put(pattern(kSize, 0), no_wait());
  for (; ref; ref = store.put(pattern(kSize, refs.size()), no_wait())) refs.push_back(*ref);
  EXPECT_TRUE(fails(ref, Code::full)) << "all are kept";
  ASSERT_GE(refs.size(), 10U);
  EXPECT_EQ(store.stats().evictions, 0U);
  const std::vector<std::size_t> order = {4, 0, 7};  // dropped in this order
  for (std::uint64_t dropped = 0; dropped < order.size(); ++dropped) {
    refs[order[dropped]] = ObjectRef();
    EXPECT_TRUE(becomes_cached(store, dropped + 1));
  }
  // What is asked for, and a tenth of the arena: 11.4 MiB.
  const auto more = store.put(pattern(kSize, 99));
  ASSERT_TRUE(good(more));
  EXPECT_EQ(store.stats().evictions, 3U);
  EXPECT_EQ(store.stats().nodes.front().evictions, 3U);
  EXPECT_EQ(store.stats().evicted_bytes, 3 * kSize);
  for (std::size_t i = 0; i < refs.size(); ++i)
    if (std::ranges::find(order, i) == order.end()) {
      EXPECT_TRUE(is_pattern(store.get(refs[i], 0s).value().bytes(), i));
    }
}

TEST_F(StoreLifetimeTest, APinnedObjectIsNotEvicted) {
  Store store = open_with(Collect::lazy);
  ObjectRef ref = put(store, 30_MiB, 1);
  auto pin = store.get(ref, 0s);
  ASSERT_TRUE(good(pin));
  ref = ObjectRef();
  EXPECT_TRUE(becomes_cached(store, 1));
  EXPECT_TRUE(fails(store.put(pattern(40_MiB, 2), no_wait()), Code::full));
  EXPECT_TRUE(is_pattern(pin->bytes(), 1));
  EXPECT_EQ(store.stats().evictions, 0U);
  pin = fail(Code::invalid, "", "");
  EXPECT_TRUE(good(store.put(pattern(40_MiB, 2))));
  EXPECT_EQ(store.stats().evictions, 1U);
}

TEST_F(StoreLifetimeTest, EagerCollectionFreesAtOnce) {
  Store store = open_with(Collect::eager);
  const std::uint64_t used = store.stats().nodes.front().bytes_used;
  {
    const ObjectRef ref = put(store, 1_MiB, 1);
    EXPECT_TRUE(good(store.get(ref, 0s)));
  }
  EXPECT_TRUE(comes_true([&] { return store.stats().objects == 0; }));
  EXPECT_EQ(store.stats().collected, 1U);
  EXPECT_TRUE(comes_true([&] { return store.stats().nodes.front().bytes_used == used; }));
}

TEST_F(StoreLifetimeTest, ANameKeepsItsObject) {
  Store store = open_with(Collect::eager);
  ASSERT_TRUE(good(store.put(name("kept"), pattern(100, 1))));
  put(store, 100, 2);  // dropped at once
  EXPECT_TRUE(comes_true([&] { return store.stats().collected == 1; }));
  EXPECT_TRUE(is_pattern(store.get(name("kept"), 0s).value().bytes(), 1));
  auto ref = store.lookup(name("kept"), 0s);
  ASSERT_TRUE(good(ref));
  ref = fail(Code::invalid, "", "");
  EXPECT_TRUE(good(store.get(name("kept"), 0s)));
  ASSERT_TRUE(good(store.erase(name("kept"), 0s)));
  EXPECT_EQ(store.stats().objects, 0U);
}

TEST_F(StoreLifetimeTest, ATokenExpires) {
  Store store = open_with(Collect::eager, 50ms);
  std::string token;
  {
    const ObjectRef ref = put(store, 100, 1);
    token = ref.token();
    EXPECT_TRUE(comes_true([&] { return store.stats().held_elsewhere == 0; })) << "the token ends";
    EXPECT_TRUE(good(store.get(ref, 0s))) << "the reference does not";
    EXPECT_TRUE(fails(store.redeem(token), Code::expired, "HOLDFAST_TOKEN_LIFETIME"));
  }
  EXPECT_TRUE(comes_true([&] { return store.stats().objects == 0; }));
  EXPECT_TRUE(fails(store.redeem(token), Code::expired));
}

TEST_F(StoreLifetimeTest, ATokenAloneKeepsTheObjectAndCanBeRedeemedOften) {
  Store store = open_with(Collect::eager);
  const std::string token = put(store, 100, 1).token();
  for (int i = 0; i < 3; ++i) {
    const auto ref = store.redeem(token);
    ASSERT_TRUE(good(ref));
    EXPECT_TRUE(is_pattern(store.get(*ref, 0s).value().bytes(), 1));
  }
  EXPECT_EQ(store.stats().collected, 0U);
  ASSERT_TRUE(good(store.erase(store.redeem(token).value(), 0s)));
  EXPECT_TRUE(fails(store.redeem(token), Code::not_found)) << "erased, not expired";
}

TEST_F(StoreLifetimeTest, APromisedObjectIsKeptByItsReferences) {
  Store store = open_with(Collect::eager);
  auto draft = store.draft(100);
  ASSERT_TRUE(good(draft));
  ObjectRef promised = draft->ref().value();
  std::string token = draft->ref().value().token();
  const auto redeemed = store.redeem(token);
  ASSERT_TRUE(good(redeemed));
  ASSERT_TRUE(good(std::move(*draft).seal()));
  promised = ObjectRef();
  EXPECT_TRUE(good(store.get(*redeemed, 0s)));
  EXPECT_EQ(store.stats().collected, 0U);
  auto broken = store.draft(100);
  ASSERT_TRUE(good(broken));
  token = broken->ref().value().token();
  broken = fail(Code::invalid, "", "");
  EXPECT_TRUE(fails(store.redeem(token), Code::not_found));
}

TEST_F(StoreLifetimeTest, ReferencesMayOutliveTheStore) {
  std::optional<Store> store = open_with(Collect::eager);
  const ObjectRef ref = put(*store, 100, 1);
  const ObjectRef copy = ref;
  store.reset();
  EXPECT_FALSE(ref.is_ready());
  EXPECT_EQ(ref.token(), "");
  EXPECT_EQ(copy, ref);
}

TEST_F(StoreLifetimeTest, ManyThreadsCopyingAndDroppingLoseNothing) {
  Store store = open_with(Collect::eager);
  const ObjectRef shared = put(store, 100, 1);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const ObjectRef copy = shared;
        const ObjectRef own = put(store, 100, static_cast<std::uint64_t>(t));
        const auto again = store.redeem(own.token());
        ASSERT_TRUE(good(again));
        ASSERT_TRUE(good(store.get(*again, 0s)));
        ASSERT_TRUE(good(store.get(copy, 0s)));
        ASSERT_TRUE(good(store.erase(own, 0s)));
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(good(store.get(shared, 0s)));
  EXPECT_EQ(store.stats().objects, 1U);
}

}  // namespace
}  // namespace holdfast::test
