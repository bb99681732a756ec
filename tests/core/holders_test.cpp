// The owner's book of who keeps what: each order in which holds, drops, tokens and deaths can come.
#include "src/holders.h"

#include <chrono>
#include <map>
#include <random>
#include <set>

#include "tests/core/expect.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

constexpr ObjectId kA{1, 1}, kB{1, 2};
constexpr MemberId kMaker{3}, kReader{5};

TimePoint at(Duration after) { return TimePoint() + after; }

TEST(HoldersTest, AnObjectIsKeptUntilTheLastHolderDropsIt) {
  Holders holders;
  EXPECT_FALSE(holders.keeps(kA));
  holders.hold(kA, kMaker, 1, at(0s));
  holders.hold(kA, kReader, 1, at(1s));
  EXPECT_FALSE(holders.drop(kA, kMaker, 1)) << "one is left";
  EXPECT_TRUE(holders.keeps(kA));
  EXPECT_FALSE(holders.drop(kB, kReader, 1)) << "another object";
  EXPECT_TRUE(holders.drop(kA, kReader, 1));
  EXPECT_FALSE(holders.keeps(kA));
  EXPECT_FALSE(holders.drop(kA, kReader, 1)) << "twice";
}

TEST(HoldersTest, ADropThatWasOvertakenByANewHoldEndsNothing) {
  Holders holders;
  holders.hold(kA, kReader, 1, at(0s));
  holders.hold(kA, kReader, 2, at(0s));  // held again; the drop of the first hold is still under way
  EXPECT_FALSE(holders.drop(kA, kReader, 1));
  EXPECT_TRUE(holders.keeps(kA));
  EXPECT_TRUE(holders.drop(kA, kReader, 2));
}

TEST(HoldersTest, HoldsThatComeInTheWrongOrderCountAsTheNewest) {
  Holders holders;
  holders.hold(kA, kReader, 8, at(0s));
  holders.hold(kA, kReader, 7, at(0s));
  EXPECT_FALSE(holders.drop(kA, kReader, 7));
  EXPECT_TRUE(holders.drop(kA, kReader, 8));
}

TEST(HoldersTest, AHoldThatIsTakenBackLeavesTheOthersOfItsMember) {
  Holders holders;
  holders.hold(kA, kReader, 5, at(0s));
  holders.hold(kA, kReader, 6, at(0s));
  EXPECT_FALSE(holders.undo(kA, kReader, 6)) << "the fifth was granted";
  EXPECT_FALSE(holders.undo(kA, kReader, 6)) << "told twice";
  EXPECT_TRUE(holders.keeps(kA));
  EXPECT_TRUE(holders.drop(kA, kReader, 5));

  holders.hold(kA, kReader, 8, at(0s));
  holders.hold(kA, kReader, 7, at(0s));
  EXPECT_FALSE(holders.undo(kA, kReader, 7));
  EXPECT_FALSE(holders.undo(kA, kReader, 7));
  EXPECT_TRUE(holders.undo(kA, kReader, 8)) << "the last one";
  EXPECT_FALSE(holders.keeps(kA));
  EXPECT_FALSE(holders.undo(kB, kReader, 1)) << "another object";

  holders.hold(kA, kReader, 9, at(0s));
  holders.hold(kA, kReader, 10, at(0s));
  EXPECT_TRUE(holders.drop(kA, kReader, 10)) << "a drop ends all before it";
}

TEST(HoldersTest, ATokenKeepsTheObjectWhenItsMakerHasLetGo) {
  Holders holders;
  holders.hold(kA, kMaker, 1, at(0s));
  holders.add_token(kA, {kMaker, 1}, at(10s));
  EXPECT_FALSE(holders.drop(kA, kMaker, 1));
  EXPECT_TRUE(holders.accepts(kA, {kMaker, 1}));
  holders.hold(kA, kReader, 1, at(1s));
  EXPECT_TRUE(holders.expire(at(10s)).empty()) << "the reader keeps it";
  EXPECT_TRUE(holders.drop(kA, kReader, 1));
}

TEST(HoldersTest, ATokenIsGoodBeforeItsMakerHasToldOfIt) {
  Holders holders;
  holders.hold(kA, kMaker, 1, at(0s));
  EXPECT_TRUE(holders.accepts(kA, {kMaker, 1})) << "the maker holds the object until it has told";
  holders.hold(kA, kReader, 1, at(0s));
  holders.add_token(kA, {kMaker, 1}, at(10s));  // comes late
  EXPECT_FALSE(holders.drop(kA, kMaker, 1));
  EXPECT_FALSE(holders.drop(kA, kReader, 1)) << "the token may be redeemed again";
  EXPECT_EQ(holders.expire(at(10s)), std::vector{kA});
}

TEST(HoldersTest, AnExpiredTokenIsNotGoodAndFreesTheObject) {
  Holders holders;
  holders.add_token(kA, {kMaker, 1}, at(10s));
  holders.add_token(kA, {kMaker, 2}, at(12s));
  holders.add_token(kB, {kMaker, 3}, at(11s));
  EXPECT_EQ(holders.next_expiry(), at(10s));
  EXPECT_TRUE(holders.expire(at(9999ms)).empty());
  EXPECT_TRUE(holders.expire(at(10s)).empty()) << "another token keeps it";
  EXPECT_FALSE(holders.accepts(kA, {kMaker, 1}));
  EXPECT_TRUE(holders.accepts(kA, {kMaker, 2}));
  EXPECT_FALSE(holders.accepts(kB, {kMaker, 2})) << "of another object";
  EXPECT_EQ(holders.expire(at(1min)), (std::vector{kB, kA})) << "in the order of time";
  EXPECT_FALSE(holders.next_expiry());
  EXPECT_FALSE(holders.accepts(kA, {kMaker, 2}));
}

TEST(HoldersTest, AReportThatComesTwiceDoesNotMakeATokenAnew) {
  Holders holders;
  holders.add_token(kA, {kMaker, 1}, at(1s));
  EXPECT_EQ(holders.expire(at(2s)), std::vector{kA});
  holders.add_token(kA, {kMaker, 1}, at(20s));
  EXPECT_FALSE(holders.keeps(kA));
  EXPECT_FALSE(holders.accepts(kA, {kMaker, 1}));
}

TEST(HoldersTest, ADeathDropsExactlyWhatTheMemberHeld) {
  Holders holders;
  holders.hold(kA, kMaker, 1, at(0s));
  holders.hold(kB, kMaker, 2, at(0s));
  holders.hold(kB, kReader, 1, at(0s));
  holders.add_token(kA, {kMaker, 1}, at(10s));
  EXPECT_EQ(holders.members(), (std::vector{kMaker, kReader}));
  EXPECT_TRUE(holders.member_lost(kMaker).empty())
      << "its token is under way, and the reader holds the other";
  EXPECT_EQ(holders.members(), std::vector{kReader});
  EXPECT_TRUE(holders.member_lost(kMaker).empty()) << "twice";
  EXPECT_TRUE(holders.keeps(kA));
  EXPECT_TRUE(holders.accepts(kA, {kMaker, 1}));
  EXPECT_EQ(holders.member_lost(kReader), std::vector{kB});
  EXPECT_EQ(holders.objects(), 1U);
}

TEST(HoldersTest, WhatIsErasedIsForgottenButItsTokensAreStillKnown) {
  Holders holders;
  holders.hold(kA, kReader, 1, at(0s));
  holders.add_token(kA, {kMaker, 1}, at(10s));
  holders.forget(kA);
  EXPECT_TRUE(holders.members().empty());
  EXPECT_TRUE(holders.accepts(kA, {kMaker, 1})) << "who comes with it is told that the object is gone";
  EXPECT_FALSE(holders.drop(kA, kReader, 1));
  (void)holders.expire(at(10s));
  EXPECT_EQ(holders.objects(), 0U);
}

/// Random events against a plain model: an object is kept as long as somebody holds it or a token lives.
TEST(HoldersTest, AgreesWithAPlainModel) {
  std::mt19937_64 dice(7);
  Holders holders;
  std::map<std::uint64_t, std::map<std::uint32_t, std::uint64_t>> held;  // object, member: number
  std::map<std::uint64_t, std::multiset<std::int64_t>> tokens;           // object: seconds of expiry
  std::map<std::uint32_t, std::uint64_t> last_token;
  std::uint64_t number = 0;
  for (int step = 0; step < 20000; ++step) {
    const std::uint64_t object = dice() % 20;
    const ObjectId id{1, object};
    const auto member = static_cast<std::uint32_t>(dice() % 6);
    switch (dice() % 6) {
      case 0:
      case 1:
        holders.hold(id, {member}, ++number, at(std::chrono::seconds(step)));
        held[object][member] = number;
        break;
      case 2: {
        const bool holds = held[object].contains(member);
        const std::uint64_t dropped = holds ? held[object][member] - dice() % 2 : number;
        if (holds && dropped == held[object][member]) held[object].erase(member);
        (void)holders.drop(id, {member}, dropped);
        break;
      }
      case 3: {
        const std::int64_t expires = step + static_cast<std::int64_t>(dice() % 100);
        holders.add_token(id, {{member}, ++last_token[member]}, at(std::chrono::seconds(expires)));
        tokens[object].insert(expires);
        break;
      }
      case 4:
        for (auto& [each, until] : tokens) until.erase(until.begin(), until.upper_bound(step));
        (void)holders.expire(at(std::chrono::seconds(step)));
        break;
      default:
        if (dice() % 10 != 0) break;
        for (auto& [each, by] : held) by.erase(member);
        (void)holders.member_lost({member});
    }
    for (std::uint64_t each = 0; each < 20; ++each)
      ASSERT_EQ(holders.keeps({1, each}), !held[each].empty() || !tokens[each].empty()) << "step " << step;
  }
}

}  // namespace
}  // namespace holdfast::test
