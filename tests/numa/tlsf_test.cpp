// The structure alone, against a model that remembers every granule.
#include "numa/src/tlsf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace holdfast::numa {
namespace {

/// Which granules are in use, said twice: by the structure and by this.
class Model {
 public:
  explicit Model(std::uint64_t granules) : used_(granules, false) {}

  void take(const Block& block) {
    for (std::uint64_t i = 0; i < block.granules; ++i) {
      ASSERT_FALSE(used_.at(block.begin + i));
      used_[block.begin + i] = true;
    }
  }
  void give(const Block& block) {
    for (std::uint64_t i = 0; i < block.granules; ++i) used_[block.begin + i] = false;
  }
  std::uint64_t largest_hole() const {
    std::uint64_t largest = 0, hole = 0;
    for (const bool used : used_) {
      hole = used ? 0 : hole + 1;
      largest = std::max(largest, hole);
    }
    return largest;
  }
  bool has_place(std::uint64_t granules, std::uint64_t alignment) const {
    for (std::uint64_t at = 0; at + granules <= used_.size(); at += alignment) {
      std::uint64_t length = 0;
      while (length < granules && !used_[at + length]) ++length;
      if (length == granules) return true;
    }
    return false;
  }

 private:
  std::vector<bool> used_;
};

void give_back(Tlsf& tlsf, BlockHandle handle) {
  tlsf.block(handle).state = BlockState::cached;
  tlsf.release(handle);
}

TEST(Tlsf, agrees_with_a_model_through_random_steps) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    constexpr std::uint64_t kGranules = 3000;
    std::mt19937_64 random(seed);
    Tlsf tlsf(kGranules);
    Model model(kGranules);
    std::vector<BlockHandle> live;
    for (int step = 0; step < 2000; ++step) {
      const std::uint64_t granules = 1 + random() % (1ULL << random() % 9);
      const std::uint64_t alignment = random() % 4 == 0 ? 1ULL << random() % 8 : 1;
      const BlockHandle handle = tlsf.allocate(granules, alignment);
      // No hole is overlooked: so few of one class that all are looked at.
      ASSERT_EQ(handle != kNoBlock, model.has_place(granules, alignment)) << "step " << step;
      if (handle != kNoBlock) {
        const Block& block = tlsf.block(handle);
        ASSERT_EQ(block.granules, granules);
        ASSERT_EQ(block.begin % alignment, 0U);
        ASSERT_NO_FATAL_FAILURE(model.take(block));
        live.push_back(handle);
      }
      if (!live.empty() && (handle == kNoBlock || random() % 3 == 0)) {
        std::swap(live[random() % live.size()], live.back());
        model.give(tlsf.block(live.back()));
        give_back(tlsf, live.back());
        live.pop_back();
      }
      ASSERT_EQ(tlsf.blocks_used(), live.size());
      ASSERT_LE(tlsf.largest_free(), model.largest_hole());
    }
    for (const BlockHandle handle : live) give_back(tlsf, handle);
    EXPECT_EQ(tlsf.granules_free(), kGranules);
    EXPECT_EQ(tlsf.largest_free(), kGranules);
  }
}

// The largest range any machine could have; no memory stands behind it.
TEST(Tlsf, spans_the_largest_range) {
  constexpr std::uint64_t kGranules = 1ULL << 57;
  Tlsf tlsf(kGranules);
  const BlockHandle whole = tlsf.allocate(kGranules, 1);
  ASSERT_NE(whole, kNoBlock);
  give_back(tlsf, whole);
  EXPECT_NE(tlsf.allocate(kGranules - 1, 1), kNoBlock);
}

TEST(BlockTable, takes_descriptors_over_many_chunks_without_moving_them) {
  BlockTable table;
  std::vector<std::pair<BlockHandle, Block*>> taken;
  for (std::uint64_t i = 0; i < 10000; ++i) {
    ASSERT_TRUE(table.reserve(1));
    const BlockHandle handle = table.take();
    table[handle].begin = i;
    taken.emplace_back(handle, &table[handle]);
  }
  for (std::uint64_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(&table[taken[i].first], taken[i].second);
    EXPECT_EQ(table.find(taken[i].first)->begin, i);
  }
  table.give_back(taken[5].first);
  EXPECT_EQ(table.take(), taken[5].first);
  EXPECT_EQ(table.find(kNoBlock), nullptr);
  EXPECT_EQ(table.find(UINT32_MAX), nullptr);
}

}  // namespace
}  // namespace holdfast::numa
