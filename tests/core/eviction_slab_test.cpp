#include "src/eviction_slab.h"

#include <algorithm>

#include "tests/core/expect.h"

namespace holdfast {
namespace {

TEST(EvictionSlabTest, TheRoomOfRemovedNodesIsUsedAgain) {
  constexpr std::uint64_t kAtOnce = 100;
  EvictionSlab slab;
  EvictionSlab::Place highest = 0;
  for (std::uint64_t key = 0; key < 10'000; ++key) {
    highest = std::max(highest, slab.add(key, 1));
    if (key >= kAtOnce - 1) slab.remove(slab.find(key - (kAtOnce - 1)));
  }
  EXPECT_EQ(highest, kAtOnce - 1);
}

TEST(EvictionSlabTest, ANodeKeepsItsPlaceWhileOthersComeAndGo) {
  EvictionSlab slab;
  const EvictionSlab::Place place = slab.add(7, 70);
  for (std::uint64_t key = 1'000; key < 5'000; ++key) slab.add(key, 1);
  for (std::uint64_t key = 1'000; key < 5'000; ++key) slab.remove(slab.find(key));
  EXPECT_EQ(slab.find(7), place);
  EXPECT_EQ(slab[place].key, 7U);
  EXPECT_EQ(slab[place].bytes, 70U);
  EXPECT_EQ(slab.find(1'000), EvictionSlab::kNone);
}

TEST(EvictionSlabTest, AnyNodeCanBeTakenOutOfAQueue) {
  EvictionSlab slab;
  EvictionQueue queue;
  const auto append = [&](std::uint64_t key) {
    const EvictionSlab::Place place = slab.add(key, key);
    slab.append(queue, place);
    return place;
  };
  const auto oldest = append(1), middle = append(2), newest = append(4);
  slab.take(queue, middle);
  EXPECT_EQ(queue.count, 2U);
  EXPECT_EQ(queue.bytes, 5U);
  EXPECT_EQ(slab[oldest].newer, newest);
  EXPECT_EQ(slab[newest].older, oldest);
  slab.take(queue, newest);
  EXPECT_EQ(queue.newest, oldest);
  slab.take(queue, oldest);
  EXPECT_EQ(queue.newest, EvictionSlab::kNone);
  EXPECT_EQ(queue.oldest, EvictionSlab::kNone);
  EXPECT_EQ(queue.bytes, 0U);
  slab.append(queue, middle);
  EXPECT_EQ(queue.oldest, middle);
  EXPECT_EQ(queue.newest, middle);
}

}  // namespace
}  // namespace holdfast
