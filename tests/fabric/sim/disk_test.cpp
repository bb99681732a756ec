// The simulated disk: what it costs, and how it fails.
#include "holdfast/fabric/sim/disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "tests/fabric/ended.h"

namespace holdfast::sim::test {
namespace {

using fabric::test::Ended;
using namespace std::chrono_literals;

DiskOptions round_figures() {
  DiskOptions out;
  out.latency = 100us;
  out.write_bytes_per_second = out.read_bytes_per_second = 1'000'000'000;
  out.sector_bytes = 512;
  return out;
}

class SimDisk : public testing::Test {
 protected:
  Status write(FileId file, std::uint64_t offset, std::span<const std::byte> bytes) {
    Ended ended;
    disk_.write(file, offset, bytes, ended);
    return finish(ended);
  }
  Status read(FileId file, std::uint64_t offset, std::span<std::byte> into) {
    Ended ended;
    disk_.read(file, offset, into, ended);
    return finish(ended);
  }
  Status finish(Ended& ended) {
    EXPECT_EQ(ended.calls, 0) << "completed from inside the starting call";
    timeline_.run_for(1s);
    EXPECT_EQ(ended.calls, 1);
    if (ended.ok()) return {};
    return fail(ended.code(), "test", ended.message());
  }
  static std::vector<std::byte> filled(std::size_t bytes, int value) {
    return std::vector<std::byte>(bytes, static_cast<std::byte>(value));
  }

  Timeline timeline_{5};
  Disk disk_{timeline_, 1, round_figures()};
  const FileId file_ = disk_.create("segment.0").value();
};

TEST_F(SimDisk, ReadsWhatWasWritten) {
  const auto first = filled(1000, 1), second = filled(1000, 2);
  ASSERT_TRUE(write(file_, 0, first).has_value());
  ASSERT_TRUE(write(file_, 1500, second).has_value());
  EXPECT_EQ(disk_.size(file_).value(), 2500u);
  EXPECT_EQ(disk_.used(), 2500u);
  std::vector<std::byte> into(2500);
  ASSERT_TRUE(read(file_, 0, into).has_value());
  EXPECT_EQ(into[999], std::byte{1});
  EXPECT_EQ(into[1000], std::byte{0}) << "a gap";
  EXPECT_EQ(into[1500], std::byte{2});
  EXPECT_EQ(read(file_, 2000, std::span(into).first(501)).error().code, Code::invalid);
}

TEST_F(SimDisk, TakesItsBandwidthOneAfterTheOtherAndItsLatency) {
  const auto bytes = filled(50'000, 1);
  const TimePoint start = timeline_.now();
  std::deque<Ended> ended(3);
  std::vector<Duration> took;
  for (Ended& one : ended) {
    one.then = [&] { took.push_back(timeline_.now() - start); };
    disk_.write(file_, 0, bytes, one);
  }
  timeline_.run_for(1s);
  EXPECT_EQ(took, (std::vector<Duration>{150us, 200us, 250us}));
  disk_.slow(10);
  const TimePoint again = timeline_.now();
  Ended slow;
  slow.then = [&] { took.push_back(timeline_.now() - again); };
  disk_.write(file_, 0, bytes, slow);
  timeline_.run_for(1s);
  EXPECT_EQ(took.back(), 1500us);
}

TEST_F(SimDisk, FilesHaveNames) {
  EXPECT_EQ(disk_.create("segment.0").error().code, Code::exists);
  ASSERT_TRUE(disk_.create("a").has_value());
  EXPECT_EQ(disk_.list(), (std::vector<std::string>{"a", "segment.0"}));
  EXPECT_EQ(disk_.open("segment.0").value(), file_);
  EXPECT_EQ(disk_.open("b").error().code, Code::not_found);
  ASSERT_TRUE(disk_.remove("a").has_value());
  EXPECT_EQ(disk_.remove("a").error().code, Code::not_found);
  EXPECT_EQ(disk_.list(), (std::vector<std::string>{"segment.0"}));
}

TEST_F(SimDisk, ARemovedFilesSpaceIsFreeWhenNothingIsUnderWayOnIt) {
  const auto bytes = filled(1000, 1);
  Ended ended;
  disk_.write(file_, 0, bytes, ended);
  ASSERT_TRUE(disk_.remove("segment.0").has_value());
  EXPECT_EQ(disk_.used(), 1000u);
  timeline_.run_for(1s);
  EXPECT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(disk_.used(), 0u);
  EXPECT_EQ(write(file_, 0, bytes).error().code, Code::not_found);
}

TEST_F(SimDisk, AFullOneRefusesWhatDoesNotFit) {
  disk_.set_capacity(10'000);
  const auto bytes = filled(6000, 1);
  Ended first, second;
  disk_.write(file_, 0, bytes, first);
  disk_.write(file_, 6000, bytes, second);  // while the first is under way
  timeline_.run_for(1s);
  EXPECT_TRUE(first.ok());
  ASSERT_TRUE(second.ended());
  EXPECT_EQ(second.code(), Code::full);
  EXPECT_TRUE(write(file_, 0, bytes).has_value()) << "over what is there";
  EXPECT_EQ(disk_.used(), 6000u);
}

TEST_F(SimDisk, FailsWhereItIsTold) {
  disk_.set_fault([](const DiskOperation& operation) -> std::optional<Code> {
    if (operation.action == DiskAction::write && operation.offset >= 4096) return Code::system;
    return std::nullopt;
  });
  const auto bytes = filled(4096, 1);
  EXPECT_TRUE(write(file_, 0, bytes).has_value());
  EXPECT_EQ(write(file_, 4096, bytes).error().code, Code::system);
  disk_.set_fault(nullptr);
  EXPECT_TRUE(write(file_, 4096, bytes).has_value());
}

TEST_F(SimDisk, ACrashLeavesWholeSectorsOfWhatWasUnderWay) {
  const auto old = filled(8192, 1), fresh = filled(8192, 2);
  std::vector<bool> lengths(17);
  for (int round = 0; round < 200; ++round) {
    ASSERT_TRUE(write(file_, 0, old).has_value());
    Ended under_way, not_begun;
    disk_.write(file_, 0, fresh, under_way);
    disk_.write(file_, 8192, fresh, not_begun);
    timeline_.run_for(2us);
    disk_.crash();
    ASSERT_EQ(under_way.calls, 1);
    EXPECT_EQ(under_way.code(), Code::timed_out);
    ASSERT_EQ(not_begun.calls, 1);
    ASSERT_EQ(disk_.size(file_).value(), 8192u) << "the second had not begun";
    ASSERT_EQ(disk_.used(), 8192u);
    std::vector<std::byte> into(8192);
    ASSERT_TRUE(read(file_, 0, into).has_value());
    const auto cut = std::find(into.begin(), into.end(), std::byte{1});
    EXPECT_TRUE(std::all_of(cut, into.end(), [](std::byte byte) { return byte == std::byte{1}; }));
    ASSERT_EQ((cut - into.begin()) % 512, 0);
    lengths[static_cast<std::size_t>(cut - into.begin()) / 512] = true;
  }
  EXPECT_TRUE(lengths.front() && lengths.back()) << "none, or all";
  EXPECT_GT(std::count(lengths.begin(), lengths.end(), true), 10);
}

TEST_F(SimDisk, OfAStoppedProcessTellsWhenItRunsAgain) {
  const auto bytes = filled(1000, 1);
  Ended first, second;
  disk_.write(file_, 0, bytes, first);
  disk_.pause();
  timeline_.run_for(1s);
  EXPECT_EQ(first.calls, 0);
  disk_.resume();
  EXPECT_EQ(first.calls, 0) << "completed from inside the call";
  timeline_.run_for(1s);
  EXPECT_EQ(first.calls, 1);
  EXPECT_TRUE(first.ok());
  disk_.write(file_, 0, bytes, second);
  disk_.pause();
  timeline_.run_for(1s);
  disk_.crash();
  EXPECT_EQ(second.calls, 1);
  EXPECT_EQ(second.code(), Code::timed_out);
  disk_.resume();
  timeline_.run_for(1s);
  EXPECT_EQ(second.calls, 1);
}

TEST_F(SimDisk, DamageChangesOneByteOfAFile) {
  const auto bytes = filled(1000, 1);
  ASSERT_TRUE(write(file_, 0, bytes).has_value());
  disk_.damage();
  std::vector<std::byte> into(1000);
  ASSERT_TRUE(read(file_, 0, into).has_value());
  EXPECT_EQ(std::ranges::count(into, std::byte{1}), 999);
}

TEST_F(SimDisk, MoreThanMayBeUnderWayIsFull) {
  DiskOptions options = round_figures();
  options.max_waiting = 2;
  Disk disk(timeline_, 2, options);
  const FileId file = disk.create("f").value();
  const auto bytes = filled(10, 1);
  std::deque<Ended> ended(3);
  for (Ended& one : ended) disk.write(file, 0, bytes, one);
  timeline_.run_for(1s);
  EXPECT_TRUE(ended[0].ok() && ended[1].ok());
  ASSERT_TRUE(ended[2].ended());
  EXPECT_EQ(ended[2].code(), Code::full);
}

}  // namespace
}  // namespace holdfast::sim::test
