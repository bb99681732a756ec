// What a process reports of the references it holds.
#include "src/references.h"

#include "tests/core/expect.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

constexpr MemberId kSelf{0}, kOwner{4}, kOther{2};
constexpr ObjectId kA{9, 1}, kB{9, 2};
constexpr std::size_t kMany = 100;
using Outcome = References::Outcome;

class ReferencesTest : public ::testing::Test {
 protected:
  ReferencesTest() : table(std::make_shared<References>(kSelf, 5s)) {
    table->set_wake([this] { ++woken; });
  }
  ~ReferencesTest() override {
    if (table) table->close();  // what it keeps for its reports refers to it
  }
  std::shared_ptr<Reference> hold(const ObjectId& id, MemberId owner = kOwner) {
    return table->granted(entry(id, owner), table->ask(id), now);
  }
  static Entry entry(const ObjectId& id, MemberId owner = kOwner, std::uint64_t size = 1) {
    return {id, 64, {size, 0}, owner};
  }
  /// The only report there is, which names one drop.
  ReferenceReport one_drop(const ObjectId& id) {
    auto reports = table->take_reports(kMany);
    EXPECT_EQ(reports.size(), 1U);
    if (reports.size() != 1) return {};
    EXPECT_EQ(reports[0].drops.size(), 1U);
    EXPECT_EQ(reports[0].drops.empty() ? ObjectId() : reports[0].drops[0].id, id);
    return std::move(reports[0]);
  }
  int woken = 0;
  TimePoint now{1h};
  std::shared_ptr<References> table;
};

TEST_F(ReferencesTest, TheLastDropIsReportedOnce) {
  auto first = hold(kA);
  auto copy = first;
  auto shared = table->share(entry(kA), now);
  ASSERT_TRUE(shared);
  first.reset();
  copy.reset();
  EXPECT_EQ(woken, 0);
  EXPECT_TRUE(table->take_reports(kMany).empty());
  shared.reset();
  EXPECT_EQ(woken, 1);
  ReferenceReport report = one_drop(kA);
  EXPECT_EQ(report.owner, kOwner);
  EXPECT_EQ(report.drops[0].number, 1U);
  EXPECT_TRUE(table->take_reports(kMany).empty()) << "it is under way";
  table->reported(std::move(report), Outcome::heard);
  EXPECT_TRUE(table->take_reports(kMany).empty());
  EXPECT_TRUE(table->owners().empty());
}

TEST_F(ReferencesTest, ADropThatWaitsIsTakenBackByTheNextHandle) {
  hold(kA).reset();
  const auto again = table->share(entry(kA), now);
  ASSERT_TRUE(again) << "the owner was not told yet";
  EXPECT_TRUE(table->take_reports(kMany).empty());
  EXPECT_EQ(table->owners(), std::vector{kOwner});
}

TEST_F(ReferencesTest, ADropUnderWayCannotBeTakenBackAndANewHoldOutlivesIt) {
  hold(kA).reset();
  ReferenceReport report = one_drop(kA);
  EXPECT_FALSE(table->share(entry(kA), now)) << "the owner may have heard";
  const std::uint64_t number = table->ask(kA);
  auto again = table->granted(entry(kA), number, now);
  table->reported(std::move(report), Outcome::heard);
  EXPECT_TRUE(table->share(entry(kA), now)) << "the new hold counts";
  again.reset();
  EXPECT_EQ(one_drop(kA).drops[0].number, number);
}

// Two threads redeem at once, and the answer to the later hold is seen first. Its drop would end both at the
// owner.
TEST_F(ReferencesTest, ADropWaitsForTheAnswerToAnEarlierHold) {
  const std::uint64_t first = table->ask(kA), second = table->ask(kA);
  table->granted(entry(kA), second, now).reset();
  EXPECT_TRUE(table->take_reports(kMany).empty());
  const auto kept = table->granted(entry(kA), first, now);
  EXPECT_TRUE(table->take_reports(kMany).empty()) << "it is held";
}

TEST_F(ReferencesTest, ADropIsReportedWhenAnEarlierHoldWasRefusedOrNotAnswered) {
  for (const bool refused : {true, false}) {
    const std::uint64_t first = table->ask(kA), second = table->ask(kA);
    table->granted(entry(kA), second, now).reset();
    EXPECT_TRUE(table->take_reports(kMany).empty());
    woken = 0;
    if (refused)
      table->refused(kA);
    else
      table->not_answered(kA, kOwner, first);
    EXPECT_EQ(woken, 1);
    ReferenceReport report = one_drop(kA);
    EXPECT_EQ(report.drops[0].number, second);
    table->reported(std::move(report), Outcome::heard);
    EXPECT_TRUE(table->owners().empty());
  }
}

TEST_F(ReferencesTest, BeforeAMemberLeavesWhatIsLeftFollowsAReportThatIsUnderWay) {
  const auto reference = hold(kA);
  table->make_token(reference);
  const auto first = table->take_reports(kMany);
  ASSERT_EQ(first.size(), 1U);
  table->make_token(reference);
  EXPECT_TRUE(table->take_reports(kMany).empty());
  const auto last = table->take_reports(kMany, References::UnderWay::follow);
  ASSERT_EQ(last.size(), 1U);
  ASSERT_EQ(last[0].tokens.size(), 2U) << "the first may have been lost, and takes no harm from coming twice";
  EXPECT_EQ(last[0].tokens[0].number, 1U);
  EXPECT_EQ(last[0].tokens[1].number, 2U);
  EXPECT_TRUE(table->take_reports(kMany, References::UnderWay::follow).empty());
}

TEST_F(ReferencesTest, WhatWasHeldBeforeASilenceIsNotSharedUntilTheOwnerIsAskedAgain) {
  const auto a = hold(kA), b = hold(kB), others = hold({9, 3}, kOther);
  now += 4s;
  EXPECT_TRUE(table->share(entry(kA), now));
  table->asked_for_us(kOwner, now);
  table->asked_for_us(kOther, now);
  now += 4s;
  EXPECT_TRUE(table->share(entry(kA), now)) << "the owner has asked since";
  table->asked_for_us(kOther, now);
  now += 2s;
  EXPECT_FALSE(table->share(entry(kA), now)) << "it may have given this process up";
  table->asked_for_us(kOwner, now);
  EXPECT_FALSE(table->share(entry(kA), now)) << "it has asked again, perhaps for something newer";
  const auto again = hold(kA);
  EXPECT_TRUE(table->share(entry(kA), now));
  EXPECT_FALSE(table->share(entry(kB), now)) << "only what it has granted again";
  EXPECT_TRUE(table->share(entry({9, 3}, kOther), now));
}

TEST_F(ReferencesTest, WhatIsToldToBeOfAnotherLayoutIsForItsOwnerToJudge) {
  const auto held = hold(kA);
  EXPECT_TRUE(table->share(entry(kA), now));
  EXPECT_FALSE(table->share(entry(kA, kOwner, 2), now));
}

TEST_F(ReferencesTest, WhatWasNotHeardIsReportedAgainAndWhatIsLostIsNot) {
  hold(kA).reset();
  ReferenceReport report = one_drop(kA);
  table->reported(std::move(report), Outcome::unheard);
  EXPECT_EQ(woken, 2);
  report = one_drop(kA);
  table->reported(std::move(report), Outcome::lost);
  EXPECT_TRUE(table->take_reports(kMany).empty());
}

TEST_F(ReferencesTest, AHoldWithoutAnAnswerIsTakenBackUntilTheOwnerHasHeard) {
  const std::uint64_t number = table->ask(kA);
  const auto other = hold(kA);
  table->not_answered(kA, kOwner, number);
  EXPECT_EQ(woken, 1);
  for (const Outcome outcome : {Outcome::unheard, Outcome::heard}) {
    auto reports = table->take_reports(kMany);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_TRUE(reports[0].drops.empty()) << "the object is held";
    ASSERT_EQ(reports[0].undone.size(), 1U);
    EXPECT_EQ(reports[0].undone[0].number, number);
    table->reported(std::move(reports[0]), outcome);
  }
  EXPECT_TRUE(table->take_reports(kMany).empty());
}

TEST_F(ReferencesTest, TheOwnerIsToldOfATokenBeforeItsMakerLetsGo) {
  auto reference = hold(kA);
  EXPECT_EQ(table->make_token(reference), (TokenId{kSelf, 1}));
  EXPECT_EQ(table->make_token(reference), (TokenId{kSelf, 2}));
  const auto other = hold(kB, kOther);
  EXPECT_EQ(table->make_token(other), (TokenId{kSelf, 1})) << "numbered for each owner";
  reference.reset();
  auto reports = table->take_reports(kMany);
  ASSERT_EQ(reports.size(), 2U);
  ReferenceReport& report = reports[1];
  EXPECT_EQ(report.owner, kOwner);
  ASSERT_EQ(report.tokens.size(), 2U);
  EXPECT_EQ(report.tokens[1].number, 2U);
  EXPECT_TRUE(report.drops.empty()) << "held in the tokens' place";
  table->reported(std::move(report), Outcome::unheard);
  reports = table->take_reports(kMany);
  ASSERT_EQ(reports.size(), 1U);
  ASSERT_EQ(reports[0].tokens.size(), 2U) << "again, in order";
  EXPECT_EQ(reports[0].tokens[0].number, 1U);
  EXPECT_TRUE(reports[0].drops.empty());
  table->reported(std::move(reports[0]), Outcome::heard);
  EXPECT_EQ(one_drop(kA).drops.size(), 1U) << "now";
}

TEST_F(ReferencesTest, ReportsAreBoundedAndTheRestFollows) {
  std::vector<std::shared_ptr<Reference>> held;
  for (std::uint64_t i = 0; i < 25; ++i) held.push_back(hold({9, i + 1}));
  held.clear();
  EXPECT_EQ(woken, 1) << "once until it is looked at";
  std::size_t seen = 0;
  for (int round = 0; round < 3; ++round) {
    auto reports = table->take_reports(10);
    ASSERT_EQ(reports.size(), 1U);
    seen += reports[0].drops.size();
    EXPECT_TRUE(table->take_reports(10).empty()) << "one at a time to an owner";
    table->reported(std::move(reports[0]), Outcome::heard);
  }
  EXPECT_EQ(seen, 25U);
  EXPECT_TRUE(table->take_reports(10).empty());
}

TEST_F(ReferencesTest, OwnObjectsAreCountedHereAndNotReported) {
  auto own = table->make_own(kA);
  const auto copy = own;
  std::vector<ObjectId> dropped;
  own.reset();
  table->take_own(dropped);
  EXPECT_TRUE(dropped.empty());
  table->make_own(kA).reset();
  table->take_own(dropped);
  EXPECT_EQ(dropped, std::vector{kA});
  table->take_own(dropped);
  EXPECT_EQ(dropped, std::vector{kA}) << "nothing new: left as it was";
  EXPECT_TRUE(table->take_reports(kMany).empty());
}

TEST_F(ReferencesTest, HandlesOutliveTheTablesUser) {
  auto held = hold(kA);
  auto own = table->make_own(kB);
  (void)table->make_token(held);
  table->set_wake(nullptr);
  table->close();
  const std::weak_ptr<References> watch = table;
  table.reset();
  held.reset();
  EXPECT_FALSE(watch.expired());
  own.reset();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace holdfast::test
