#include "src/peers.h"

#include "tests/core/expect.h"

namespace holdfast {
namespace {

using test::fails;
using test::good;

std::vector<Card> cards(std::uint32_t members) {
  std::vector<Card> made(members);
  for (std::uint32_t rank = 0; rank < members; ++rank) {
    made[rank].incarnation = rank + 1;
    made[rank].host = rank % 2 == 0 ? "even" : "odd";
    made[rank].host_name = "node0" + std::to_string(rank % 2);
    made[rank].pid = 1000 + rank;
  }
  return made;
}

Key key_number(std::uint32_t n) { return key_of(name("object", n)).value(); }

TEST(PeersTest, NamesSpreadEvenly) {
  constexpr std::uint32_t kMembers = 16, kNames = 100000;
  const Peers peers(MemberId{0}, cards(kMembers));
  std::vector<double> names(kMembers);
  for (std::uint32_t n = 0; n < kNames; ++n) names[peers.home_of(key_number(n)).value] += 1;
  for (const double count : names) EXPECT_NEAR(count, kNames / kMembers, kNames / kMembers * 0.1);
}

TEST(PeersTest, AnotherMemberTakesItsShareAndMovesNothingElse) {
  constexpr std::uint32_t kMembers = 16, kNames = 100000;
  const Peers before(MemberId{0}, cards(kMembers)), after(MemberId{3}, cards(kMembers + 1));
  std::uint32_t moved = 0;
  for (std::uint32_t n = 0; n < kNames; ++n) {
    const MemberId was = before.home_of(key_number(n)), is = after.home_of(key_number(n));
    if (was == is) continue;
    ASSERT_EQ(is, MemberId{kMembers}) << "moved between members that were there before";
    ++moved;
  }
  EXPECT_NEAR(moved, kNames / (kMembers + 1), kNames / (kMembers + 1) * 0.1);
}

TEST(PeersTest, AllMembersAgreeOnAHome) {
  const Peers one(MemberId{0}, cards(7)), other(MemberId{6}, cards(7));
  for (std::uint32_t n = 0; n < 1000; ++n)
    EXPECT_EQ(one.home_of(key_number(n)), other.home_of(key_number(n)));
}

TEST(PeersTest, KnowsWhoSharesItsHostAndDescribesMembers) {
  const Peers peers(MemberId{2}, cards(4));
  EXPECT_EQ(peers.self(), MemberId{2});
  EXPECT_EQ(peers.size(), 4U);
  EXPECT_TRUE(peers.shares_host(MemberId{0}));
  EXPECT_FALSE(peers.shares_host(MemberId{1}));
  EXPECT_EQ(peers.describe(MemberId{3}), "rank 3 on node01 (pid 1003)");
}

TEST(PeersTest, RegionsAreFoundByTheOffsetsTheyCover) {
  Peers peers(MemberId{0}, cards(2));
  EXPECT_FALSE(peers.region(MemberId{1}, 0));
  peers.add_region(MemberId{1}, {4096, {0, 77, 4096}});
  EXPECT_FALSE(peers.region(MemberId{1}, 4095));
  EXPECT_EQ(peers.region(MemberId{1}, 4096)->memory.key, 77U);
  EXPECT_EQ(peers.region(MemberId{1}, 8191)->memory.key, 77U);
  EXPECT_FALSE(peers.region(MemberId{1}, 8192));
  EXPECT_FALSE(peers.region(MemberId{0}, 4096));
}

TEST(NameTest, JoinsItsPartsWithSlashes) {
  EXPECT_EQ(name("halo", 3, 7).text(), "halo/3/7");
  EXPECT_EQ(name(std::string("a"), 1U, "b").text(), "a/1/b");
}

TEST(NameTest, EmptyAndTooLongNamesAreRefused) {
  EXPECT_TRUE(fails(key_of(Name("")), Code::invalid, "empty"));
  EXPECT_TRUE(good(key_of(Name(std::string(Name::kMaxBytes, 'n')))));
  EXPECT_TRUE(fails(key_of(Name(std::string(Name::kMaxBytes + 1, 'n'))), Code::invalid, "1025"));
}

}  // namespace
}  // namespace holdfast
