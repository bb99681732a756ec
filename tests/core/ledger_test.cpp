#include "src/ledger.h"

#include <atomic>
#include <thread>

#include "tests/core/expect.h"

namespace holdfast {
namespace {

bool pins(const Ledger& ledger, const PinnedBlock& block) {
  return ledger_pins(ledger.shared(), ledger.shared_bytes(), block);
}

TEST(PinnedBlockTest, PacksToDistinctWordsAndNeverToZero) {
  EXPECT_NE((PinnedBlock{MemberId{0}, 0}.pack()), 0U);
  EXPECT_NE((PinnedBlock{MemberId{0}, 64}.pack()), (PinnedBlock{MemberId{0}, 0}.pack()));
  EXPECT_NE((PinnedBlock{MemberId{1}, 0}.pack()), (PinnedBlock{MemberId{0}, 0}.pack()));
  // The largest of both do not touch each other.
  const PinnedBlock last{MemberId{kMostMembers}, (1ULL << 46) - 64};
  EXPECT_EQ(last.pack() >> 40, kMostMembers + 1ULL);
  EXPECT_EQ(last.pack() & ((1ULL << 40) - 1), ((1ULL << 46) - 64) / 64);
}

TEST(LedgerTest, AnAnnouncedBlockIsPinnedUntilItIsWithdrawn) {
  auto ledger = Ledger::create(128);
  ASSERT_TRUE(test::good(ledger));
  const PinnedBlock block{MemberId{3}, 4096}, other{MemberId{3}, 8192}, same_place{MemberId{4}, 4096};
  EXPECT_FALSE(pins(*ledger, block));
  const auto first = ledger->announce(block), second = ledger->announce(block);
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_TRUE(pins(*ledger, block));
  EXPECT_FALSE(pins(*ledger, other));
  EXPECT_FALSE(pins(*ledger, same_place));
  ledger->withdraw(*first);
  EXPECT_TRUE(pins(*ledger, block)) << "the second pin still holds it";
  ledger->withdraw(*second);
  EXPECT_FALSE(pins(*ledger, block));
}

TEST(LedgerTest, AllSlotsCanBeTakenAndThenItSaysSo) {
  constexpr std::uint32_t kSlots = 100;
  auto ledger = Ledger::create(kSlots);
  ASSERT_TRUE(test::good(ledger));
  std::vector<std::uint32_t> taken;
  for (std::uint64_t i = 0; i < kSlots; ++i) {
    const auto slot = ledger->announce({MemberId{0}, i * 64});
    ASSERT_TRUE(slot) << i;
    EXPECT_LT(*slot, kSlots);
    taken.push_back(*slot);
  }
  EXPECT_FALSE(ledger->announce({MemberId{0}, kSlots * 64}));
  for (std::uint64_t i = 0; i < kSlots; ++i) EXPECT_TRUE(pins(*ledger, {MemberId{0}, i * 64}));
  ledger->withdraw(taken[37]);
  EXPECT_EQ(ledger->announce({MemberId{0}, kSlots * 64}), taken[37]);
  EXPECT_TRUE(pins(*ledger, {MemberId{0}, kSlots * 64}));
  EXPECT_FALSE(pins(*ledger, {MemberId{0}, 37 * 64}));
}

TEST(LedgerTest, SlotsInUseLieBelowTheHighWater) {
  auto ledger = Ledger::create(4096);
  ASSERT_TRUE(test::good(ledger));
  EXPECT_EQ(ledger->shared()->high_water.load(), 0U);
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto slot = ledger->announce({MemberId{0}, i * 64});
    ASSERT_TRUE(slot);
    EXPECT_LT(*slot, ledger->shared()->high_water.load());
  }
}

TEST(LedgerTest, AHighWaterBeyondTheMappedMemoryIsNotBelieved) {
  auto ledger = Ledger::create(64);
  ASSERT_TRUE(test::good(ledger));
  const_cast<LedgerMemory*>(ledger->shared())->high_water.store(~0ULL);
  EXPECT_FALSE(pins(*ledger, {MemberId{9}, 64}));
  ASSERT_TRUE(ledger->announce({MemberId{9}, 64}));
  EXPECT_TRUE(pins(*ledger, {MemberId{9}, 64}));
}

TEST(LedgerTest, ThreadsGetSlotsOfTheirOwn) {
  auto ledger = Ledger::create(256);
  ASSERT_TRUE(test::good(ledger));
  std::atomic<std::uint64_t> unseen{0}, refused{0};
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < 20000; ++i) {
        const PinnedBlock block{MemberId{static_cast<std::uint32_t>(thread)}, i * 64};
        const auto slot = ledger->announce(block);
        if (!slot) {
          refused.fetch_add(1);
          continue;
        }
        if (!pins(*ledger, block)) unseen.fetch_add(1);
        ledger->withdraw(*slot);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(unseen.load(), 0U);
  EXPECT_EQ(refused.load(), 0U);
  for (std::uint32_t slot = 0; slot < 256; ++slot) EXPECT_EQ(ledger->shared()->slots()[slot].load(), 0U);
}

/// Owners look through all slots up to the highest that was ever used, for each block they free.
TEST(LedgerTest, WhoAlwaysHoldsSomePinsStaysInASmallPart) {
  auto ledger = Ledger::create(65'536);
  ASSERT_TRUE(test::good(ledger));
  auto before = ledger->announce({MemberId{1}, 64});
  ASSERT_TRUE(before.has_value());
  for (std::uint64_t i = 2; i < 100'000; ++i) {
    const auto next = ledger->announce({MemberId{1}, 64 * i});
    ASSERT_TRUE(next.has_value());
    ledger->withdraw(*before);
    before = next;
  }
  constexpr std::uint64_t kSmallPart = 4096;  // whatever this thread's number
  EXPECT_LT(ledger->shared()->high_water.load(), kSmallPart);
}

}  // namespace
}  // namespace holdfast
