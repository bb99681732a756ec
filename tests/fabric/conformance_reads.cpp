// One-sided reads: what arrives, what is refused, and that each ends exactly once, outside the call.
#include <algorithm>
#include <array>
#include <deque>
#include <functional>

#include "holdfast/base/random.h"
#include "tests/fabric/conformance.h"

namespace holdfast::fabric::test {
TEST_P(FabricReads, WholeArrives) {
  const auto memory = pattern(10'000, 1);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, memory.size());
  Ended ended;
  read(request(remote, 0, into), ended);
  ASSERT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(into, memory);
  EXPECT_EQ(reader_->stats().reads, 1u);
  EXPECT_EQ(reader_->stats().read_bytes, memory.size());
}

TEST_P(FabricReads, PartArrivesAndNothingElseIsWritten) {
  const auto memory = pattern(4096, 2);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 300);
  std::fill(into.begin(), into.end(), std::byte{0xee});
  Ended ended;
  read(request(remote, 1000, std::span(into).subspan(100, 100)), ended);
  ASSERT_TRUE(ended.ok()) << ended.message();
  EXPECT_TRUE(std::equal(memory.begin() + 1000, memory.begin() + 1100, into.begin() + 100));
  EXPECT_TRUE(
      std::all_of(into.begin(), into.begin() + 100, [](std::byte b) { return b == std::byte{0xee}; }));
  EXPECT_TRUE(std::all_of(into.begin() + 200, into.end(), [](std::byte b) { return b == std::byte{0xee}; }));
}

TEST_P(FabricReads, LastByteAloneArrives) {
  const auto memory = pattern(4097, 3);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 1);
  Ended ended;
  read(request(remote, 4096, into), ended);
  ASSERT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(into[0], memory[4096]);
}

TEST_P(FabricReads, ZeroBytesEndWell) {
  const auto memory = pattern(64, 4);
  const RemoteMemory remote = expose(*owner_, memory);
  Ended at_start;
  read(request(remote, 0, {}), at_start);
  EXPECT_TRUE(at_start.ok()) << at_start.message();
  Ended at_end;
  read(request(remote, 64, {}), at_end);
  EXPECT_TRUE(at_end.ok()) << at_end.message();
  EXPECT_EQ(reader_->stats().read_operations, 0u);
}

TEST_P(FabricReads, RangeOutsideIsInvalid) {
  const auto memory = pattern(64, 5);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 128);
  for (const std::uint64_t offset :
       {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{65}, ~std::uint64_t{0}}) {
    Ended ended;
    read(request(remote, offset, std::span(into).first(64)), ended);
    ASSERT_FALSE(ended.ok()) << "offset " << offset;
    EXPECT_EQ(ended.code(), Code::invalid);
  }
  Ended too_long;
  read(request(remote, 0, std::span(into).first(65)), too_long);
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.code(), Code::invalid);
}

TEST_P(FabricReads, UnknownPeerIsInvalid) {
  auto into = destination(*reader_, 8);
  Ended ended;
  ReadRequest wrong = request({.base = 0, .key = 1, .bytes = 8}, 0, into);
  wrong.peer = PeerId{77};
  read(wrong, ended);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.code(), Code::invalid);
}

TEST_P(FabricReads, LargerThanTheProvidersPieceArrivesWhole) {
  const FabricInfo& info = world().fabric().info();
  const std::size_t bytes = info.best_read_bytes * (info.best_depth + 2) + 12345;
  const auto memory = pattern(bytes, 6);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, bytes - 7);
  Ended ended;
  read(request(remote, 7, into), ended);
  ASSERT_TRUE(ended.ok()) << ended.message();
  EXPECT_TRUE(std::equal(into.begin(), into.end(), memory.begin() + 7));
  EXPECT_EQ(reader_->stats().reads, 1u);
  EXPECT_GE(reader_->stats().read_operations, info.best_depth + 2);
}

TEST_P(FabricReads, ManyInFlightAllArriveAndEndOnce) {
  constexpr std::size_t kReads = 5000;
  constexpr std::size_t kBytes = 256;
  const auto memory = pattern(kReads * kBytes, 7);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, memory.size());
  std::deque<Ended> ended(kReads);
  std::size_t count = 0;
  for (std::size_t i = 0; i < kReads; ++i) {
    ended[i].then = [&] { ++count; };
    reader_->read(request(remote, i * kBytes, std::span(into).subspan(i * kBytes, kBytes)), ended[i]);
  }
  EXPECT_EQ(count, 0u) << "completed from inside the starting call";
  drive_until([&] { return count == kReads; });
  drive_for(std::chrono::milliseconds(5));
  for (const Ended& one : ended) ASSERT_TRUE(one.ok()) << one.message();
  EXPECT_EQ(into, memory);
}

TEST_P(FabricReads, ACompletionMayStartTheNext) {
  constexpr int kReads = 200;
  const auto memory = pattern(4096, 8);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 4096);
  std::deque<Ended> ended(kReads);
  int depth = 0;
  for (int i = 0; i + 1 < kReads; ++i) {
    ended[i].then = [&, i] {
      EXPECT_EQ(depth, 0) << "completed from inside the starting call";
      ++depth;
      reader_->read(request(remote, 0, into), ended[i + 1]);
      --depth;
    };
  }
  reader_->read(request(remote, 0, into), ended[0]);
  drive_until([&] { return ended[kReads - 1].ended(); });
  for (const Ended& one : ended) ASSERT_TRUE(one.ok()) << one.message();
}

TEST_P(FabricReads, SeveralRangesKeepApart) {
  const auto first = pattern(1000, 9), second = pattern(1000, 90);
  const RemoteMemory one = expose(*owner_, first), two = expose(*owner_, second);
  EXPECT_NE(one.key, two.key);
  auto into = destination(*reader_, 2000);
  Ended of_one, of_two;
  read(request(two, 0, std::span(into).first(1000)), of_two);
  read(request(one, 0, std::span(into).last(1000)), of_one);
  ASSERT_TRUE(of_one.ok() && of_two.ok());
  EXPECT_TRUE(std::equal(second.begin(), second.end(), into.begin()));
  EXPECT_TRUE(std::equal(first.begin(), first.end(), into.begin() + 1000));
}

TEST_P(FabricReads, StretchesArriveOneAfterTheOther) {
  const auto memory = pattern(9000, 14);
  const RemoteMemory remote = expose(*owner_, memory);
  const FabricInfo& info = world().fabric().info();
  ASSERT_GE(info.max_gather, 1u);
  ASSERT_LE(info.max_gather, kMostGather);
  // Neither in the order in which they lie, nor apart; of all lengths.
  const std::array<Stretch, kMostGather> all = {
      {{8000, 1000}, {0, 1}, {4096, 700}, {4096, 64}, {1, 63}, {7999, 1}, {100, 3000}, {200, 7}}};
  const std::span<const Stretch> some = std::span(all).first(info.max_gather);
  std::vector<std::byte> expected;
  for (const Stretch& stretch : some)
    expected.insert(expected.end(), memory.begin() + static_cast<std::ptrdiff_t>(stretch.offset),
                    memory.begin() + static_cast<std::ptrdiff_t>(stretch.offset + stretch.bytes));
  auto into = destination(*reader_, expected.size());
  const std::uint64_t before = reader_->stats().read_operations;
  Ended ended;
  ReadRequest gathered = request(remote, 0, into);
  gathered.gather = some;
  read(gathered, ended);
  ASSERT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(into, expected);
  EXPECT_EQ(reader_->stats().read_operations, before + 1);
}

/// Reads of one stretch and of several, of all sizes, at once: each gets its own bytes.
TEST_P(FabricReads, StretchesAndWholesInFlightKeepApart) {
  constexpr std::size_t kReads = 2000, kMemory = 1 << 20;
  const auto memory = pattern(kMemory, 16);
  const RemoteMemory remote = expose(*owner_, memory);
  const FabricInfo& info = world().fabric().info();
  const std::uint64_t most = info.max_gather,
                      largest = std::min<std::uint64_t>(5000, info.best_read_bytes / most);
  struct Read {
    std::vector<Stretch> stretches;
    std::vector<std::byte> expected;
    std::span<std::byte> into;
    Ended ended;
  };
  std::deque<Read> reads(kReads);
  std::uint64_t drawn = 1, bytes = 0;
  const auto draw = [&drawn](std::uint64_t below) { return (drawn = mix64(drawn)) % below; };
  for (Read& one : reads) {
    const std::uint64_t count = 1 + draw(most);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t size = 1 + draw(draw(4) == 0 ? largest : largest / 16),
                          offset = draw(kMemory - size);
      one.stretches.push_back({offset, size});
      const auto begin = memory.begin() + static_cast<std::ptrdiff_t>(offset);
      one.expected.insert(one.expected.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    }
    bytes += one.expected.size();
  }
  auto into = destination(*reader_, bytes);
  std::size_t started = 0, landed = 0, ended = 0;
  const std::function<void()> start = [&] {
    Read& one = reads[started++];
    one.into = std::span(into).subspan(landed, one.expected.size());
    landed += one.expected.size();
    one.ended.then = [&] {
      ++ended;
      if (started < kReads) start();
    };
    ReadRequest asked = request(remote, one.stretches.front().offset, one.into);
    if (one.stretches.size() > 1) asked.gather = one.stretches;
    reader_->read(asked, one.ended);
  };
  for (int depth = 0; depth < 40; ++depth) start();
  drive_until([&] { return ended == kReads; });
  for (std::size_t i = 0; i < kReads; ++i) {
    ASSERT_TRUE(reads[i].ended.ok()) << i << ": " << reads[i].ended.message();
    ASSERT_TRUE(std::ranges::equal(reads[i].into, reads[i].expected))
        << i << ", of " << reads[i].stretches.size();
  }
}

TEST_P(FabricReads, StretchesThatMakeNoSenseAreInvalid) {
  const auto memory = pattern(1000, 15);
  const RemoteMemory remote = expose(*owner_, memory);
  const FabricInfo& info = world().fabric().info();
  auto into = destination(*reader_, 100);
  const std::vector<Stretch> outside = {{950, 100}}, too_short = {{0, 99}}, overflow = {{~0ULL, 100}};
  const std::vector<Stretch> too_many(info.max_gather + 1, Stretch{0, 100 / (info.max_gather + 1)});
  for (const auto& stretches : {outside, too_short, overflow, too_many}) {
    Ended ended;
    ReadRequest gathered = request(remote, 0, into);
    gathered.gather = stretches;
    read(gathered, ended);
    EXPECT_EQ(ended.code(), Code::invalid);
  }
}

TEST_P(FabricReads, SeesWhatTheOwnerWroteLast) {
  auto memory = pattern(4096, 10);
  const RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 4096);
  for (unsigned round = 0; round < 20; ++round) {
    const auto now = pattern(4096, round);
    std::copy(now.begin(), now.end(), memory.begin());
    Ended ended;
    read(request(remote, 0, into), ended);
    ASSERT_TRUE(ended.ok()) << ended.message();
    ASSERT_EQ(into, now);
  }
}

TEST_P(FabricReads, FromItselfArrives) {
  const auto memory = pattern(5000, 11);
  const RemoteMemory remote = expose(*reader_, memory);
  auto into = destination(*reader_, 5000);
  Ended ended;
  ReadRequest own = request(remote, 0, into);
  own.peer = connect(*reader_, *reader_);
  read(own, ended);
  ASSERT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(into, memory);
}

TEST_P(FabricReads, WrongKeyReadsNothing) {
  if (!world().checks_keys()) GTEST_SKIP() << "this fabric does not check keys";
  const auto memory = pattern(4096, 12);
  RemoteMemory remote = expose(*owner_, memory);
  auto into = destination(*reader_, 4096);
  Ended good;
  read(request(remote, 0, into), good);
  ASSERT_TRUE(good.ok()) << good.message();
  std::fill(into.begin(), into.end(), std::byte{0});
  remote.key ^= 0x5a5a;
  Ended ended;
  read(request(remote, 0, into), ended);
  ASSERT_FALSE(ended.ok());
  // Some providers only break the connection, which looks like a peer that is lost.
  EXPECT_TRUE(ended.code() == Code::denied || ended.code() == Code::invalid ||
              ended.code() == Code::owner_lost)
      << ended.message();
  EXPECT_TRUE(std::all_of(into.begin(), into.end(), [](std::byte b) { return b == std::byte{0}; }));
  // And it can be read again with the right one; where the connection broke, not necessarily at once.
  remote.key ^= 0x5a5a;
  if (!world().reconnects()) {
    reader_ = &open();
    peer_ = connect(*reader_, *owner_);
    into = destination(*reader_, 4096);
  }
  const Deadline limit = soon();
  for (bool good_again = false; !good_again;) {
    ASSERT_FALSE(limit.passed(world().clock()));
    Ended again;
    read(request(remote, 0, into), again);
    good_again = again.ok();
    ASSERT_TRUE(good_again || again.code() == Code::owner_lost) << again.message();
  }
  EXPECT_EQ(into, memory);
}

TEST_P(FabricReads, BeyondWhatIsExposedReadsNothing) {
  if (!world().checks_keys()) GTEST_SKIP() << "this fabric does not check ranges";
  const auto memory = pattern(8192, 13);
  auto exposed = owner_->expose(std::span(memory).first(4096));
  ASSERT_TRUE(exposed.has_value()) << exposed.error().message();
  auto into = destination(*reader_, 4096);
  RemoteMemory claimed = *exposed;
  claimed.bytes = 8192;  // what a wrong or hostile reader would say
  Ended ended;
  read(request(claimed, 2048, into), ended);
  ASSERT_FALSE(ended.ok());
  EXPECT_TRUE(ended.code() == Code::denied || ended.code() == Code::invalid ||
              ended.code() == Code::owner_lost)
      << ended.message();
  EXPECT_TRUE(std::all_of(into.begin(), into.end(), [](std::byte b) { return b == std::byte{0}; }));
}

}  // namespace holdfast::fabric::test
