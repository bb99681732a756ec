#include "src/access_log.h"

#include <set>

#include "tests/core/expect.h"

namespace holdfast::test {
namespace {

TEST(AccessLogTest, NotesASampleOnceAndWakesOnceForIt) {
  AccessLog log;
  int woken = 0;
  log.note({1, 5}, {3});
  log.enable([&] { ++woken; });
  EXPECT_TRUE(log.take().empty()) << "it was off";
  for (int i = 0; i < 100; ++i) log.note({1, 5}, {3});
  for (int i = 0; i < 100; ++i) log.note({2, 7}, {0});
  EXPECT_EQ(woken, 1);
  const auto taken = log.take();
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken.at({3}), std::vector<std::uint64_t>{5});
  EXPECT_EQ(taken.at({0}), std::vector<std::uint64_t>{7});
  EXPECT_TRUE(log.take().empty());
  for (int i = 0; i < 16; ++i) log.note({1, 6}, {3});
  EXPECT_EQ(woken, 2);
  log.enable(nullptr);
  for (int i = 0; i < 100; ++i) log.note({1, 9}, {3});
  EXPECT_EQ(woken, 2);
}

TEST(AccessLogTest, KeepsTheLatestOfMany) {
  AccessLog log;
  log.enable([] {});
  for (std::uint64_t i = 0; i < 100'000; ++i) log.note({1, i}, {0});
  const auto taken = log.take();
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_LE(taken.at({0}).size(), 64U);
  EXPECT_GT(taken.at({0}).front(), 99'000U);
}

TEST(AccessLogTest, ALoopHasNoFavourites) {
  AccessLog log;
  log.enable([] {});
  std::set<std::uint64_t> noted;
  for (int round = 0; round < 1000; ++round) {
    for (std::uint64_t i = 0; i < 16; ++i) log.note({1, i}, {0});
    const auto taken = log.take();
    if (!taken.empty()) noted.insert(taken.at({0}).begin(), taken.at({0}).end());
  }
  EXPECT_EQ(noted.size(), 16U);
}

}  // namespace
}  // namespace holdfast::test
