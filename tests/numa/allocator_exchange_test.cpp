// Holes that are claimed and handed upwards from block to block, as who moves blocks does.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "holdfast/base/units.h"
#include "holdfast/numa/allocator.h"

namespace holdfast::numa {
namespace {

constexpr std::uint64_t kRange = 4_MiB;

/// Blocks of 64 KiB, of which every second one is free.
struct Striped {
  Allocator allocator{kRange};
  std::vector<Extent> blocks;  ///< those that are left, by place

  Striped() {
    std::vector<Extent> all;
    while (const auto block = allocator.allocate(64_KiB)) all.push_back(*block);
    std::ranges::sort(all, {}, &Extent::offset);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % 2 == 0)
        allocator.free(all[i]);
      else
        blocks.push_back(all[i]);
    }
  }
};

TEST(AllocatorExchange, HandsAHoleUpwardsUntilAllThatIsFreeLiesTogether) {
  Striped at;
  const std::vector<Extent> holes = at.allocator.holes();
  ASSERT_EQ(holes.size(), at.blocks.size());
  EXPECT_FALSE(at.allocator.allocate(kRange / 2));
  ASSERT_TRUE(at.allocator.claim(holes.front()));
  EXPECT_FALSE(at.allocator.claim(holes.front())) << "it is no hole any more";
  Extent space = holes.front();
  std::uint64_t end = 0;
  for (Extent& block : at.blocks) {
    space = at.allocator.grow(space);
    const auto exchanged = at.allocator.exchange(space, block, Allocator::kGranule);
    ASSERT_TRUE(exchanged);
    EXPECT_EQ(exchanged->block.offset, end);
    EXPECT_EQ(exchanged->block.bytes, block.bytes);
    EXPECT_EQ(exchanged->space.offset, end + block.bytes);
    EXPECT_EQ(exchanged->space.bytes, space.bytes);
    end += block.bytes;
    block = exchanged->block;
    space = exchanged->space;
  }
  EXPECT_EQ(space.bytes, kRange / 2);
  EXPECT_EQ(at.allocator.grow(space).bytes, space.bytes) << "the range ends here";
  at.allocator.free(space);
  const auto half = at.allocator.allocate(kRange / 2);
  ASSERT_TRUE(half);
  at.allocator.free(*half);
  for (const Extent& block : at.blocks) at.allocator.free(block);
  EXPECT_EQ(at.allocator.stats().bytes_used, 0U);
  EXPECT_TRUE(at.allocator.allocate(kRange));
}

TEST(AllocatorExchange, RefusesExtentsThatAreNoNeighbours) {
  Striped at;
  const Extent hole = at.allocator.holes().front();
  ASSERT_TRUE(at.allocator.claim(hole));
  EXPECT_FALSE(at.allocator.exchange(hole, at.blocks[1], Allocator::kGranule)) << "not the next";
  EXPECT_FALSE(at.allocator.exchange(at.blocks[0], hole, Allocator::kGranule)) << "the wrong way round";
  EXPECT_TRUE(at.allocator.exchange(hole, at.blocks[0], Allocator::kGranule));
}

TEST(AllocatorExchange, KeepsAnAlignmentAndFreesWhatLiesBelowIt) {
  Allocator allocator(kRange);
  const Extent low = *allocator.allocate(64);
  const Extent hole = *allocator.allocate(8_KiB);
  const Extent block = *allocator.allocate(16_KiB, 4_KiB);
  ASSERT_EQ(low.offset, 0U);
  allocator.free(hole);
  const Extent wide = allocator.holes().front();
  ASSERT_EQ(wide.offset, 64U);
  ASSERT_TRUE(allocator.claim(wide));
  const auto exchanged = allocator.exchange(wide, block, 4_KiB);
  ASSERT_TRUE(exchanged);
  EXPECT_EQ(exchanged->block.offset, 4_KiB);
  EXPECT_EQ(exchanged->block.bytes, block.bytes);
  const Extent below = allocator.holes().front();
  EXPECT_EQ(below.offset, 64U);
  EXPECT_EQ(below.bytes, 4_KiB - 64);
  EXPECT_FALSE(allocator.exchange(exchanged->space, exchanged->block, 4_KiB)) << "it lies below already";
  for (const Extent& extent : {low, exchanged->block, exchanged->space}) allocator.free(extent);
  EXPECT_EQ(allocator.stats().bytes_used, 0U);
  EXPECT_TRUE(allocator.allocate(kRange));
}

/// Blocks of all sizes and alignments come, go and are moved down at random; every byte belongs to one of
/// them or to a hole.
TEST(AllocatorExchange, NeverLosesOrSharesAByte) {
  struct Live {
    Extent extent;
    std::uint64_t alignment;
  };
  constexpr std::uint32_t kSeed = 11;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 dice(kSeed);
  Allocator allocator(kRange);
  std::vector<Live> live;
  int exchanges = 0;
  const auto check = [&] {
    std::vector<Extent> all = allocator.holes();
    for (const Live& one : live) all.push_back(one.extent);
    std::ranges::sort(all, {}, &Extent::offset);
    std::uint64_t end = 0;
    for (const Extent& extent : all) {
      ASSERT_EQ(extent.offset, end);
      end += extent.bytes;
    }
    ASSERT_EQ(end, kRange);
  };
  for (int round = 0; round < 3000; ++round) {
    if (dice() % 2 != 0 || live.empty()) {
      const std::uint64_t bytes = 64 + dice() % (64ULL << dice() % 12);
      const std::uint64_t alignment = 64ULL << dice() % 8;
      if (const auto extent = allocator.allocate(bytes, alignment)) live.push_back({*extent, alignment});
    } else {
      std::swap(live[dice() % live.size()], live.back());
      allocator.free(live.back().extent);
      live.pop_back();
    }
    if (round % 50 != 0) continue;
    const std::vector<Extent> holes = allocator.holes();
    if (holes.empty()) continue;
    Extent space = holes[dice() % holes.size()];
    ASSERT_TRUE(allocator.claim(space));
    std::ranges::sort(live, {}, [](const Live& one) { return one.extent.offset; });
    for (Live& one : live) {
      if (one.extent.offset < space.offset) continue;
      space = allocator.grow(space);
      const auto exchanged = allocator.exchange(space, one.extent, one.alignment);
      if (!exchanged) break;
      EXPECT_EQ(exchanged->block.offset % one.alignment, 0U);
      EXPECT_EQ(exchanged->block.bytes, one.extent.bytes);
      one.extent = exchanged->block;
      space = exchanged->space;
      ++exchanges;
    }
    allocator.free(space);
    ASSERT_NO_FATAL_FAILURE(check());
  }
  EXPECT_GT(exchanges, 100);
  for (const Live& one : live) allocator.free(one.extent);
  EXPECT_EQ(allocator.stats().bytes_used, 0U);
  EXPECT_TRUE(allocator.allocate(kRange));
}

}  // namespace
}  // namespace holdfast::numa
