#include "holdfast/numa/allocator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "holdfast/base/units.h"

namespace holdfast::numa {
namespace {

/// True where no two extents overlap and all lie in [0, bytes).
bool disjoint(std::vector<Extent> extents, std::uint64_t bytes) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::uint64_t end = 0;
  for (const Extent& extent : extents) {
    if (extent.offset < end || extent.bytes == 0) return false;
    end = extent.offset + extent.bytes;
  }
  return end <= bytes;
}

TEST(Allocator, rounds_up_to_granules) {
  Allocator allocator(1_MiB);
  EXPECT_EQ(allocator.allocate(0)->bytes, 64U);
  EXPECT_EQ(allocator.allocate(1)->bytes, 64U);
  EXPECT_EQ(allocator.allocate(64)->bytes, 64U);
  EXPECT_EQ(allocator.allocate(65)->bytes, 128U);
  EXPECT_EQ(allocator.stats().extents, 4U);
  EXPECT_EQ(allocator.stats().bytes_used, 320U);
}

TEST(Allocator, gives_the_whole_range_and_then_nothing) {
  Allocator allocator(1_MiB + 63);
  const auto whole = allocator.allocate(1_MiB);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->offset, 0U);
  EXPECT_FALSE(allocator.allocate(1));
  allocator.free(*whole);
  EXPECT_TRUE(allocator.allocate(1));
}

TEST(Allocator, refuses_what_is_larger_than_the_range) {
  Allocator allocator(1_MiB);
  EXPECT_FALSE(allocator.allocate(1_MiB + 1));
  EXPECT_FALSE(allocator.allocate(UINT64_MAX));
}

TEST(Allocator, has_nothing_in_an_empty_range) {
  Allocator allocator(63);
  EXPECT_FALSE(allocator.allocate(0));
  EXPECT_EQ(allocator.stats().bytes_total, 0U);
  EXPECT_EQ(allocator.stats().largest_free, 0U);
}

TEST(Allocator, aligns_from_a_granule_to_a_gibibyte) {
  Allocator allocator(8_GiB);
  std::vector<Extent> extents;
  for (std::uint64_t alignment = 64; alignment <= 1_GiB; alignment *= 2) {
    for (const std::uint64_t bytes : {std::uint64_t{1}, 5_KiB, 3_MiB}) {
      const auto extent = allocator.allocate(bytes, alignment);
      ASSERT_TRUE(extent) << bytes << " at " << alignment;
      EXPECT_EQ(extent->offset % alignment, 0U);
      EXPECT_GE(extent->bytes, bytes);
      extents.push_back(*extent);
    }
  }
  EXPECT_TRUE(disjoint(extents, 8_GiB));
  for (const Extent& extent : extents) allocator.free(extent);
  EXPECT_TRUE(allocator.allocate(8_GiB));
}

// The only place for it begins in the middle of a hole that is no larger than the block and its alignment.
TEST(Allocator, finds_an_aligned_place_in_a_tight_hole) {
  Allocator allocator(4_MiB);
  const auto low = allocator.allocate(1_MiB - 64);
  const auto middle = allocator.allocate(2_MiB + 64);
  const auto high = allocator.allocate(1_MiB);
  ASSERT_TRUE(low && middle && high);
  const Extent hole = *middle;
  allocator.free(hole);
  const std::uint64_t alignment = 1_MiB;
  const std::uint64_t first = align_up(hole.offset, alignment);
  const std::uint64_t fits = hole.offset + hole.bytes - first;
  const auto aligned = allocator.allocate(fits, alignment);
  ASSERT_TRUE(aligned);
  EXPECT_EQ(aligned->offset, first);
}

TEST(Allocator, joins_neighbours_in_any_order_of_return) {
  Allocator allocator(1_MiB);
  for (const auto& order : {std::vector{0, 1, 2, 3}, {3, 2, 1, 0}, {0, 2, 1, 3}, {1, 3, 0, 2}}) {
    std::vector<Extent> quarters;
    for (int i = 0; i < 4; ++i) quarters.push_back(*allocator.allocate(256_KiB));
    for (const int which : order) allocator.free(quarters[static_cast<std::size_t>(which)]);
    const auto whole = allocator.allocate(1_MiB);
    ASSERT_TRUE(whole);
    allocator.free(*whole);
  }
}

TEST(Allocator, states_a_largest_block_that_can_be_had) {
  Allocator allocator(64_MiB);
  std::mt19937_64 random(11);
  std::vector<Extent> live;
  for (int i = 0; i < 400; ++i) {
    if (const auto extent = allocator.allocate(random() % 512_KiB)) live.push_back(*extent);
    if (i % 3 == 0 && !live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      allocator.free(live.back());
      live.pop_back();
    }
    const std::uint64_t largest = allocator.stats().largest_free;
    if (largest == 0) continue;
    const auto extent = allocator.allocate(largest);
    ASSERT_TRUE(extent) << "step " << i;
    allocator.free(*extent);
  }
}

TEST(Allocator, gives_caches_back_before_it_refuses) {
  Allocator allocator(1_MiB);
  std::vector<Extent> small;
  while (const auto extent = allocator.allocate(64)) small.push_back(*extent);
  EXPECT_EQ(small.size(), 1_MiB / 64);
  for (const Extent& extent : small) allocator.free(extent);
  EXPECT_GT(allocator.stats().bytes_cached, 0U);
  EXPECT_TRUE(allocator.allocate(1_MiB));
}

TEST(Allocator, takes_from_the_caches_of_other_threads) {
  Allocator allocator(1_MiB);
  std::barrier cached(2), done(2);
  std::thread other([&] {
    std::vector<Extent> small;
    for (int i = 0; i < 32; ++i) small.push_back(*allocator.allocate(64));
    for (const Extent& extent : small) allocator.free(extent);
    cached.arrive_and_wait();
    done.arrive_and_wait();
  });
  cached.arrive_and_wait();
  EXPECT_GT(allocator.stats().bytes_cached, 0U);
  EXPECT_TRUE(allocator.allocate(1_MiB));
  done.arrive_and_wait();
  other.join();
}

TEST(Allocator, bounds_what_a_thread_keeps) {
  Allocator allocator(1_GiB);
  std::vector<Extent> blocks;
  for (std::uint64_t i = 0; i < 20000; ++i) blocks.push_back(*allocator.allocate(64 + i * 64 % 4096));
  for (const Extent& extent : blocks) {
    allocator.free(extent);
    ASSERT_LE(allocator.stats().bytes_cached, 256_KiB + 4_KiB);
  }
  EXPECT_EQ(allocator.stats().bytes_used, 0U);
}

TEST(Allocator, takes_a_cache_back_from_a_thread_that_ends) {
  Allocator allocator(1_MiB);
  std::thread([&] { allocator.free(*allocator.allocate(64)); }).join();
  EXPECT_EQ(allocator.stats().bytes_cached, 0U);
  EXPECT_EQ(allocator.stats().largest_free, 1_MiB);
}

TEST(Allocator, may_end_before_a_thread_that_used_it) {
  std::barrier step(2);
  auto allocator = std::make_unique<Allocator>(1_MiB);
  std::thread other([&] {
    allocator->free(*allocator->allocate(64));
    step.arrive_and_wait();  // used
    step.arrive_and_wait();  // gone, another one is there
    allocator->free(*allocator->allocate(64));
  });
  step.arrive_and_wait();
  allocator = std::make_unique<Allocator>(2_MiB);
  step.arrive_and_wait();
  other.join();
  EXPECT_EQ(allocator->stats().largest_free, 2_MiB);
}

/// Uses its allocator while the thread's other thread-local objects are going.
struct LateUser {
  Allocator* allocator = nullptr;
  std::optional<Extent> extent;
  ~LateUser() {
    if (allocator == nullptr) return;
    allocator->free(*extent);
    allocator->free(*allocator->allocate(64));
  }
};

TEST(Allocator, serves_a_thread_to_its_very_end) {
  Allocator allocator(1_MiB);
  std::thread([&] {
    // Made before the thread's caches, so destroyed after them.
    static thread_local LateUser late;
    late.allocator = &allocator;
    late.extent = allocator.allocate(64);
  }).join();
  EXPECT_EQ(allocator.stats().bytes_cached, 0U);
  EXPECT_EQ(allocator.stats().extents, 0U);
}

TEST(Allocator, keeps_several_instances_apart) {
  std::vector<std::unique_ptr<Allocator>> allocators;
  for (std::uint64_t i = 1; i <= 4; ++i) allocators.push_back(std::make_unique<Allocator>(i * 1_MiB));
  for (int round = 0; round < 100; ++round) {
    for (auto& allocator : allocators) allocator->free(*allocator->allocate(128));
  }
  for (std::uint64_t i = 0; i < allocators.size(); ++i) {
    EXPECT_EQ(allocators[i]->stats().bytes_used, 0U);
    EXPECT_TRUE(allocators[i]->allocate((i + 1) * 1_MiB));
  }
}

TEST(AllocatorDeathTest, stops_at_a_double_free) {
  for (const std::uint64_t bytes : {std::uint64_t{64}, 1_MiB}) {
    Allocator allocator(4_MiB);
    const auto extent = allocator.allocate(bytes);
    allocator.free(*extent);
    EXPECT_DEATH(allocator.free(*extent), "freed before");
  }
}

TEST(AllocatorDeathTest, stops_at_what_was_never_handed_out) {
  Allocator allocator(4_MiB);
  const auto extent = allocator.allocate(100);
  EXPECT_DEATH(allocator.free(Extent{}), "handed out");
  EXPECT_DEATH(allocator.free(Extent{0, 64, 77}), "freed before");
  EXPECT_DEATH(allocator.free(Extent{0, 64, UINT32_MAX}), "handed out");
  Extent shifted = *extent;
  shifted.offset += 64;
  EXPECT_DEATH(allocator.free(shifted), "is what was handed out");
  Extent longer = *extent;
  longer.bytes += 64;
  EXPECT_DEATH(allocator.free(longer), "is what was handed out");
}

TEST(AllocatorDeathTest, stops_at_an_alignment_that_is_none) {
  Allocator allocator(4_MiB);
  EXPECT_DEATH(allocator.allocate(64, 96), "alignment");
  EXPECT_DEATH(allocator.allocate(64, 32), "alignment");
  EXPECT_DEATH(allocator.allocate(64, 2_GiB), "alignment");
}

/// Blocks of one thread in a list that others take from, so that most are freed by a stranger.
struct Pool {
  std::mutex mutex;
  std::vector<Extent> extents;
};

TEST(Allocator, never_hands_a_byte_out_twice_under_threads) {
  constexpr std::uint64_t kRange = 64_MiB;
  constexpr int kThreads = 4, kSteps = 20000;
  Allocator allocator(kRange);
  // Each granule of a block in use carries a mark, set by who has got it and cleared by who frees it.
  std::vector<std::atomic<std::uint8_t>> marks(kRange / Allocator::kGranule);
  std::atomic<int> clashes{0};
  Pool pool;
  const auto mark = [&](const Extent& extent, std::uint8_t from, std::uint8_t to) {
    for (std::uint64_t at = extent.offset; at < extent.offset + extent.bytes; at += Allocator::kGranule) {
      if (marks[at / Allocator::kGranule].exchange(to, std::memory_order_relaxed) != from) ++clashes;
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<std::uint64_t>(t) + 1);
      for (int i = 0; i < kSteps; ++i) {
        const std::uint64_t most = i % 16 == 0 ? 2_MiB : 4_KiB;
        const std::uint64_t alignment = 64ULL << random() % 7;
        if (const auto extent = allocator.allocate(random() % most, i % 5 == 0 ? alignment : 64)) {
          mark(*extent, 0, 1);
          const std::lock_guard lock(pool.mutex);
          pool.extents.push_back(*extent);
        }
        std::optional<Extent> victim;
        {
          const std::lock_guard lock(pool.mutex);
          if (pool.extents.size() > 200) {
            std::swap(pool.extents[random() % pool.extents.size()], pool.extents.back());
            victim = pool.extents.back();
            pool.extents.pop_back();
          }
        }
        if (!victim) continue;
        mark(*victim, 1, 0);
        allocator.free(*victim);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clashes.load(), 0);
  EXPECT_EQ(allocator.stats().extents, pool.extents.size());
  for (const Extent& extent : pool.extents) allocator.free(extent);
  EXPECT_TRUE(allocator.allocate(kRange));
}

// All threads run into a full range at once, and take from each other's caches.
TEST(Allocator, serves_threads_that_compete_for_a_full_range) {
  constexpr std::uint64_t kRange = 256_KiB;
  Allocator allocator(kRange);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<std::uint64_t>(t) + 100);
      for (int round = 0; round < 50; ++round) {
        std::vector<Extent> mine;
        while (const auto extent = allocator.allocate(random() % 1_KiB)) mine.push_back(*extent);
        for (const Extent& extent : mine) allocator.free(extent);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allocator.stats().bytes_used, 0U);
  EXPECT_TRUE(allocator.allocate(kRange));
}

}  // namespace
}  // namespace holdfast::numa
