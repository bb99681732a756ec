#include "holdfast/base/random.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>

namespace holdfast {
namespace {

TEST(Random, NumbersAreNeverZeroAndDoNotRepeat) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 10000; ++i) {
    const std::uint64_t number = random_u64();
    EXPECT_NE(number, 0U);
    EXPECT_TRUE(seen.insert(number).second);
  }
}

TEST(Random, EveryBitIsUsed) {
  std::uint64_t ones = 0, zeros = 0;
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t number = random_u64();
    ones |= number;
    zeros |= ~number;
  }
  EXPECT_EQ(ones, ~0ULL);
  EXPECT_EQ(zeros, ~0ULL);
}

TEST(Mix64, IsTheKnownFinalizer) {
  static_assert(mix64(0) == 0);
  // SplitMix64's first output for seed 0 is the mix of its increment.
  EXPECT_EQ(mix64(0x9E3779B97F4A7C15ULL), 0xE220A8397B1DCDAFULL);
}

TEST(Mix64, OneChangedBitChangesHalfOfThem) {
  int changed = 0;
  for (unsigned bit = 0; bit < 64; ++bit)
    changed += std::popcount(mix64(12345) ^ mix64(12345 ^ (1ULL << bit)));
  EXPECT_NEAR(changed / 64.0, 32, 3);
}

}  // namespace
}  // namespace holdfast
