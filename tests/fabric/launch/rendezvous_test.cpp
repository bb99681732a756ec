// Meeting in a directory: ranks are threads here, each with a Launch of its own.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <vector>

#include "fabric/launch/launchers.h"
#include "fabric/launch/rendezvous_file.h"
#include "holdfast/base/random.h"

namespace holdfast::fabric::launch {
namespace {

using namespace std::chrono_literals;
using Cards = Result<std::vector<std::string>>;

Deadline in(Duration time) { return Deadline::after(real_clock(), time); }

class RendezvousTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / fmt::format("rendezvous-test-{:016x}", random_u64());
    std::filesystem::create_directory(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Cards meet(std::uint32_t rank, std::uint32_t size, const std::string& card, Duration limit = 60s,
             const std::string& job = "job") {
    HOLDFAST_TRY(auto launch,
                 open_rendezvous({.directory = directory_.string(), .rank = rank, .size = size, .job = job}));
    return launch->exchange(card, in(limit));
  }

  std::future<Cards> meet_later(std::uint32_t rank, std::uint32_t size, std::string card,
                                const std::string& job = "job") {
    return std::async(std::launch::async, [=, this] { return meet(rank, size, card, 60s, job); });
  }

  /// A file as a process of an earlier run would have left it.
  void leave(RendezvousFile file, std::string_view bytes_instead = {}) {
    const std::string name = RendezvousNames("job", 0).file(file.note, file.rank);
    const std::string bytes = bytes_instead.empty() ? file.encode() : std::string(bytes_instead);
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }

  std::filesystem::path directory_;
};

TEST_F(RendezvousTest, EveryRankGetsEveryCardInOrder) {
  constexpr std::uint32_t kRanks = 9;
  std::vector<std::string> cards;
  for (std::uint32_t rank = 0; rank < kRanks; ++rank)
    cards.emplace_back(rank * rank * 1000, static_cast<char>('a' + rank));
  std::vector<std::future<Cards>> ranks;
  for (std::uint32_t rank = 0; rank < kRanks; ++rank) ranks.push_back(meet_later(rank, kRanks, cards[rank]));
  for (auto& rank : ranks) {
    const Cards got = rank.get();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(*got, cards);
  }
}

TEST_F(RendezvousTest, OneRankMeetsItself) {
  const Cards got = meet(0, 1, std::string("\0\n\xff", 3));
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(*got, std::vector<std::string>{std::string("\0\n\xff", 3)});
}

TEST_F(RendezvousTest, SameRanksMeetAgainAndAgain) {
  for (int round = 0; round < 5; ++round) {
    auto other = meet_later(1, 2, fmt::format("one {}", round));
    const Cards got = meet(0, 2, fmt::format("zero {}", round));
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ((*got)[1], fmt::format("one {}", round));
    const Cards theirs = other.get();
    ASSERT_TRUE(theirs) << theirs.error().message();
    EXPECT_EQ((*theirs)[0], fmt::format("zero {}", round));
  }
}

TEST_F(RendezvousTest, JobsInOneDirectoryDoNotMix) {
  auto a1 = meet_later(1, 2, "a1", "a");
  auto b1 = meet_later(1, 2, "b1", "b");
  const Cards a = meet(0, 2, "a0", 60s, "a");
  const Cards b = meet(0, 2, "b0", 60s, "b");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, (std::vector<std::string>{"a0", "a1"}));
  EXPECT_EQ(*b, (std::vector<std::string>{"b0", "b1"}));
  EXPECT_TRUE(a1.get());
  EXPECT_TRUE(b1.get());
}

TEST_F(RendezvousTest, LeftoversOfAnEarlierRunAreNotTaken) {
  leave({.note = Note::card, .rank = 1, .size = 2, .nonce = 7, .job = "job", .body = "old"});
  leave({.note = Note::seen, .rank = 1, .size = 2, .nonce = 7, .job = "job", .body = "12345678"});
  auto other = meet_later(1, 2, "new");
  const Cards got = meet(0, 2, "zero");
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ((*got)[1], "new");
  EXPECT_TRUE(other.get());
}

TEST_F(RendezvousTest, AloneAmongLeftoversRunsIntoItsDeadline) {
  leave({.note = Note::card, .rank = 1, .size = 2, .nonce = 7, .job = "job", .body = "old"});
  const Cards got = meet(0, 2, "zero", 300ms);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::timed_out);
  EXPECT_NE(got.error().detail.find("rank 1 of job job left a card"), std::string::npos)
      << got.error().detail;
}

TEST_F(RendezvousTest, TornFilesAreNotTaken) {
  const RendezvousFile file{
      .note = Note::card, .rank = 1, .size = 2, .nonce = 7, .job = "job", .body = "abc"};
  const std::string whole = file.encode();
  for (std::size_t cut = 0; cut < whole.size(); ++cut)
    EXPECT_FALSE(RendezvousFile::decode(whole.substr(0, cut)));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] ^= 1;
    EXPECT_FALSE(RendezvousFile::decode(flipped)) << at;
  }
  ASSERT_TRUE(RendezvousFile::decode(whole));
  EXPECT_EQ(RendezvousFile::decode(whole)->body, "abc");

  leave(file, whole.substr(0, whole.size() - 1));
  auto other = meet_later(1, 2, "whole");
  const Cards got = meet(0, 2, "zero");
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ((*got)[1], "whole");
  EXPECT_TRUE(other.get());
}

TEST_F(RendezvousTest, FilesThatAreNoCardsAreNotTaken) {
  const std::string name = RendezvousNames("job", 0).file(Note::card, 1);
  // A FIFO would stop whoever opens it for reading.
  ASSERT_EQ(::mkfifo((directory_ / name).c_str(), 0600), 0);
  std::ofstream(directory_ / RendezvousNames("job", 0).file(Note::card, 99)) << "rank 99 of 2";
  const Cards got = meet(0, 2, "zero", 300ms);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::timed_out);
}

TEST_F(RendezvousTest, AbsentRanksAreNamed) {
  auto two = std::async(std::launch::async, [&] { return meet(2, 4, "two", 2s); });
  const Cards got = meet(0, 4, "zero", 2s);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::timed_out);
  EXPECT_NE(got.error().detail.find("ranks 1 and 3 of job job"), std::string::npos) << got.error().detail;
  EXPECT_FALSE(two.get());
}

TEST_F(RendezvousTest, AtMostSixteenAbsentRanksAreNamed) {
  const Cards got = meet(0, 40, "zero", 100ms);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().detail.find("15, 16 and 23 more"), std::string::npos) << got.error().detail;
}

TEST_F(RendezvousTest, ALateRankStillMeetsOneThatTriesAgain) {
  ASSERT_FALSE(meet(0, 2, "first try", 50ms));
  auto other = meet_later(1, 2, "late");
  const Cards got = meet(0, 2, "second try");
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ((*got)[1], "late");
  const Cards theirs = other.get();
  ASSERT_TRUE(theirs) << theirs.error().message();
  EXPECT_EQ((*theirs)[0], "second try");
}

TEST_F(RendezvousTest, ASecondProcessOfOneRankIsRefused) {
  auto first = meet_later(0, 2, "first");
  const std::string card = (directory_ / RendezvousNames("job", 0).file(Note::card, 0)).string();
  while (!std::filesystem::exists(card)) std::this_thread::yield();
  // What another process that takes itself for rank 0 would do.
  RendezvousFile second{.note = Note::card, .rank = 0, .size = 2, .nonce = 1, .job = "job", .body = "second"};
  std::ofstream(card + ".new", std::ios::binary) << second.encode();
  std::filesystem::rename(card + ".new", card);
  const Cards got = first.get();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::invalid);
  EXPECT_NE(got.error().detail.find("rank 0, too"), std::string::npos) << got.error().detail;
}

TEST_F(RendezvousTest, ADifferentSizeIsTold) {
  leave({.note = Note::card, .rank = 1, .size = 3, .nonce = 7, .job = "job", .body = "x"});
  const Cards got = meet(0, 2, "zero", 200ms);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().detail.find("for 3 ranks instead of 2"), std::string::npos) << got.error().detail;
}

TEST_F(RendezvousTest, ACardOfAnotherUserIsNotBelievedAndTold) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  leave({.note = Note::card, .rank = 1, .size = 2, .nonce = 7, .job = "job", .body = "x"});
  for (const auto& entry : std::filesystem::directory_iterator(directory_))
    ASSERT_EQ(lchown(entry.path().c_str(), 4711, static_cast<gid_t>(-1)), 0);
  const Cards got = meet(0, 2, "zero", 200ms);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().detail.find("the card of rank 1 belongs to user 4711"), std::string::npos)
      << got.error().detail;
}

TEST_F(RendezvousTest, CardsAreRemovedAndPrivate) {
  auto other = meet_later(1, 2, "one");
  ASSERT_TRUE(meet(0, 2, "zero"));
  ASSERT_TRUE(other.get());
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    EXPECT_EQ(entry.path().extension(), ".seen");
    EXPECT_EQ(entry.status().permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
}

TEST_F(RendezvousTest, BadArgumentsAreRefused) {
  const std::string here = directory_.string();
  EXPECT_EQ(open_rendezvous({.directory = here, .rank = 2, .size = 2, .job = "j"}).error().code,
            Code::invalid);
  EXPECT_EQ(open_rendezvous({.directory = here, .rank = 0, .size = 0, .job = "j"}).error().code,
            Code::invalid);
  EXPECT_EQ(open_rendezvous({.directory = here + "/no", .rank = 0, .size = 1, .job = "j"}).error().code,
            Code::invalid);
  const Cards got = meet(0, 1, std::string(kMaxCardBytes + 1, 'x'));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::invalid);
  EXPECT_TRUE(meet(0, 1, std::string(kMaxCardBytes, 'x')));
}

}  // namespace
}  // namespace holdfast::fabric::launch
