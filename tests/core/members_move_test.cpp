// Members read what its owner moves meanwhile.
#include <atomic>
#include <thread>

#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kObjects = 100, kLarge = 8_MiB;
constexpr std::uint64_t kEnough = 100, kMostRounds = 300;

Name name_of(std::uint64_t object) { return Name("object/" + std::to_string(object)); }

/// About 200 KiB, of all alignments: two thirds of the arena in all.
ObjectRef put_one(Store& store, std::uint64_t object, Dice& dice) {
  PutOptions options;
  options.alignment = 64U << dice.below(10);
  auto ref = store.put(name_of(object), pattern(150_KiB + dice.below(100_KiB), object), options);
  EXPECT_TRUE(good(ref));
  return ref ? *ref : ObjectRef();
}

/// Every object is there all the time, or is written anew under its name.
void read_at_random(Store& store, std::uint64_t seed, const std::function<bool()>& over) {
  Dice dice(seed);
  std::uint64_t reads = 0;
  while (!over()) {
    const std::uint64_t object = dice.below(kObjects);
    const auto pin = store.get(name_of(object), kLong);
    if (!pin && pin.error().code == Code::not_found) continue;  // erased after the name was found
    ASSERT_TRUE(good(pin)) << object;
    ASSERT_TRUE(is_pattern(pin->bytes(), object)) << object;
    ++reads;
  }
  EXPECT_GT(reads, 0U);
}

// Rank 0 puts large objects, for which others have to move, and some others anew, so that holes come again;
// each rank, and a thread of rank 0, reads meanwhile.
const Scenario kMoved("moved_while_read", [](Line&) {
  Store store = join();
  if (store.rank() != 0) {
    ASSERT_TRUE(good(store.barrier(kLong)));
    read_at_random(store, store.rank(), [&] { return store.contains(Name("over"), 1s).value_or(false); });
    ASSERT_TRUE(good(store.barrier(kLong)));
    return;
  }
  Dice dice(7);
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < kObjects; ++i) refs.push_back(put_one(store, i, dice));
  ASSERT_TRUE(good(store.barrier(kLong)));
  std::atomic<bool> over = false;
  std::thread reader([&] { read_at_random(store, 100, [&] { return over.load(); }); });
  for (std::uint64_t round = 0; round < kMostRounds && store.stats().moved < kEnough; ++round) {
    {
      const auto large = store.put(pattern(kLarge, round));
      EXPECT_TRUE(good(large));
      if (large) {
        EXPECT_TRUE(is_pattern(store.get(*large, kLong).value().bytes(), round));
      }
    }
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t object = dice.below(kObjects);
      EXPECT_TRUE(good(store.erase(name_of(object), kLong)));
      refs[object] = put_one(store, object, dice);
    }
  }
  over = true;
  reader.join();
  EXPECT_GE(store.stats().moved, kEnough) << "else this shows nothing";
  ASSERT_TRUE(good(store.put(Name("over"), pattern(1, 1))));
  ASSERT_TRUE(good(store.barrier(kLong)));
});

Ranks::Options job(const char* same_host) {
  return {.size = 3,
          .variables = {{"HOLDFAST_ARENA", "32MiB"},
                        {"HOLDFAST_PAGES", "base"},
                        {"HOLDFAST_COLLECT", "eager"},
                        {"HOLDFAST_SAME_HOST", same_host}}};
}

TEST(MembersMoveTest, WhatIsMovedWhileProcessesOfTheHostReadItComesWhole) {
  EXPECT_TRUE(Ranks("moved_while_read", job("memory")).all_good());
}

TEST(MembersMoveTest, WhatIsMovedWhileItIsReadOverTheFabricComesWhole) {
  EXPECT_TRUE(Ranks("moved_while_read", job("fabric")).all_good());
}

}  // namespace
}  // namespace holdfast::test
