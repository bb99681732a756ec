// Disks that cannot be read, as a whole or in one place: what becomes of the objects there, and of the
// directory.
#include <gtest/gtest.h>

#include <deque>

#include "src/spill_files.h"
#include "tests/core/expect.h"
#include "tests/core/spill_rig.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSize = 100'000;  // each begins at a sector of its own

TEST(SpillReadTest, ReadErrorsNameTheFileAndStayWithTheirObject) {
  SimulatedSpill rig(1);
  const auto first = rig.write(pattern(kSize, 1)), second = rig.write(pattern(kSize, 2));
  ASSERT_TRUE(good(first) && good(second));
  rig.disks[0]->set_fault([](const sim::DiskOperation& operation) {
    return operation.offset < kSize ? std::optional(Code::system) : std::nullopt;
  });
  std::vector<std::byte> into(kSize);
  EXPECT_TRUE(fails(rig.read(*first, into), Code::system, "disk0/0"));
  EXPECT_TRUE(rig.holds(*second, kSize, 2));
  rig.disks[0]->set_fault(nullptr);
  EXPECT_TRUE(rig.holds(*first, kSize, 1)) << "an error that has passed";
}

std::optional<Code> fail_reads(const sim::DiskOperation& operation) {
  return operation.action == sim::DiskAction::read ? std::optional(Code::system) : std::nullopt;
}

/// After reads of the first of two disks have failed: it has been said once, and is so.
void expect_no_more_on_the_first(SimulatedSpill& rig, const std::string& logged) {
  const std::string line = "nothing more is spilled to disk0";
  EXPECT_NE(logged.find(line), std::string::npos) << logged;
  EXPECT_EQ(logged.find(line), logged.rfind(line)) << logged;
  EXPECT_NE(rig.files->stats().directories[0].failed, "");
  EXPECT_EQ(rig.files->stats().directories[1].failed, "");
  const std::uint64_t written = rig.files->stats().directories[0].bytes_written;
  for (std::uint64_t i = 0; i < 30; ++i) {
    const auto handle = rig.write(pattern(kSize, i));
    ASSERT_TRUE(good(handle));
    EXPECT_TRUE(rig.holds(*handle, kSize, i));
  }
  EXPECT_EQ(rig.files->stats().directories[0].bytes_written, written);
}

TEST(SpillReadTest, ADiskThatCannotBeReadTakesNoMore) {
  for (const std::uint64_t size : {std::uint64_t{1000}, kSize}) {
    SimulatedSpill rig(1, small_segments(), 2);
    const auto first = rig.write(pattern(size, 1));
    ASSERT_TRUE(good(first));
    rig.disks[0]->set_fault(fail_reads);
    std::vector<std::byte> into(size);
    testing::internal::CaptureStderr();
    EXPECT_TRUE(fails(rig.read(*first, into), Code::system, "disk0/0"));
    EXPECT_TRUE(fails(rig.read(*first, into), Code::system, "disk0/0"));
    expect_no_more_on_the_first(rig, testing::internal::GetCapturedStderr());
    rig.disks[0]->set_fault(nullptr);
    EXPECT_TRUE(rig.holds(*first, size, 1)) << "what is there is tried all the same";
  }
}

TEST(SpillReadTest, AFullDiskThatCannotBeReadTakesNoMoreWhenItHasRoomAgain) {
  SimulatedSpill rig(1, small_segments(), 1, {.capacity = 4_MiB});
  std::vector<SpillHandle> handles;
  Result<SpillHandle> handle = SpillHandle{0};
  for (std::uint64_t i = 0; i < 100 && handle; ++i)
    if (handle = rig.write(pattern(kSize, i)); handle) handles.push_back(*handle);
  EXPECT_TRUE(fails(handle, Code::full));
  rig.disks[0]->set_fault(fail_reads);
  std::vector<std::byte> into(kSize);
  EXPECT_TRUE(fails(rig.read(handles[0], into), Code::system));
  for (const SpillHandle one : handles) rig.files->free(one);
  rig.settle();
  EXPECT_TRUE(fails(rig.write(pattern(kSize, 1)), Code::system));
}

TEST(SpillReadTest, ADiskThatCannotBeReadForCompactionTakesNoMore) {
  for (const std::uint64_t size : {std::uint64_t{10'000}, kSize}) {
    SimulatedSpill rig(1, small_segments(), 2);
    std::vector<SpillHandle> handles;
    for (std::uint64_t i = 0; i < 900'000 / size; ++i) handles.push_back(rig.write(pattern(size, i)).value());
    ASSERT_TRUE(good(rig.write(pattern(600'000, 99))));  // closes the first segment
    rig.disks[0]->set_fault(fail_reads);
    testing::internal::CaptureStderr();
    for (std::uint64_t i = 2; i < handles.size(); ++i) rig.files->free(handles[i]);
    rig.settle();
    expect_no_more_on_the_first(rig, testing::internal::GetCapturedStderr());
    rig.disks[0]->set_fault(nullptr);
    for (std::uint64_t i = 0; i < 2; ++i) EXPECT_TRUE(rig.holds(handles[i], size, i));
  }
}

TEST(SpillReadTest, ADiskThatHasAlteredAnObjectTakesMore) {
  SimulatedSpill rig(1);
  const auto first = rig.write(pattern(kSize, 1));
  ASSERT_TRUE(good(first));
  rig.disks[0]->damage();
  std::vector<std::byte> into(kSize);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(fails(rig.read(*first, into), Code::corrupt, "disk0/0"));
  EXPECT_TRUE(fails(rig.read(*first, into), Code::corrupt, "disk0/0"));
  const std::string logged = testing::internal::GetCapturedStderr();
  const std::string line = "an object in disk0 is not as it was written";
  EXPECT_NE(logged.find(line), std::string::npos) << logged;
  EXPECT_EQ(logged.find(line), logged.rfind(line)) << logged;
  EXPECT_EQ(rig.files->stats().directories[0].failed, "");
  const auto next = rig.write(pattern(kSize, 2));
  ASSERT_TRUE(good(next));
  EXPECT_TRUE(rig.holds(*next, kSize, 2));
}

TEST(SpillReadTest, ASegmentThatCannotBeReadIsNotCompactedForEver) {
  SimulatedSpill rig(1, small_segments(), 2);
  std::vector<SpillHandle> handles;
  for (std::uint64_t i = 0; i < 10; ++i) handles.push_back(rig.write(pattern(kSize, i)).value());
  ASSERT_TRUE(good(rig.write(pattern(600'000, 99))));  // closes the first segment
  int reads = 0;
  rig.disks[0]->set_fault([&](const sim::DiskOperation& operation) {
    reads += operation.action == sim::DiskAction::read ? 1 : 0;
    return operation.action == sim::DiskAction::read ? std::optional(Code::system) : std::nullopt;
  });
  for (std::uint64_t i = 2; i < 10; ++i) rig.files->free(handles[i]);
  rig.settle();
  EXPECT_GT(reads, 0);
  EXPECT_LE(reads, 4) << "two objects, twice";
  rig.disks[0]->set_fault(nullptr);
  EXPECT_TRUE(rig.holds(handles[0], kSize, 0));
  rig.files->free(handles[0]);
  rig.files->free(handles[1]);
  rig.settle();
  EXPECT_EQ(rig.total().segments, 1u) << "it goes when nothing lives there";
}

constexpr std::uint64_t kNeighbours = 60, kNeighbourSize = 1000;

/// Most of them lie side by side in one batch, from the second sector on.
std::vector<SpillHandle> write_neighbours(SpillRig& rig) {
  std::deque<std::pair<std::vector<std::byte>, std::optional<Result<SpillHandle>>>> written;
  for (std::uint64_t i = 0; i < kNeighbours; ++i) {
    auto& [bytes, handle] = written.emplace_back(pattern(kNeighbourSize, i), std::nullopt);
    rig.start_write(bytes, handle);
  }
  rig.settle();
  std::vector<SpillHandle> handles;
  for (const auto& [bytes, handle] : written) handles.push_back(handle->value());
  return handles;
}

/// Reads all of them at once: how many come back. The others fail with `code`.
std::uint64_t count_whole(SpillRig& rig, const std::vector<SpillHandle>& handles, Code code) {
  std::deque<std::pair<std::vector<std::byte>, std::optional<Status>>> reads;
  for (const SpillHandle handle : handles) {
    auto& [bytes, ended] = reads.emplace_back(std::vector<std::byte>(kNeighbourSize), std::nullopt);
    rig.start_read(handle, bytes, ended);
  }
  rig.settle();
  std::uint64_t whole = 0;
  for (std::uint64_t i = 0; i < reads.size(); ++i) {
    const auto& [bytes, ended] = reads[i];
    EXPECT_TRUE(ended->has_value() ? is_pattern(bytes, i) : bool(fails(*ended, code))) << i;
    whole += ended->has_value() ? 1 : 0;
  }
  return whole;
}

TEST(SpillReadTest, ABadSectorIsTheLossOfWhatLiesThereAlone) {
  SimulatedSpill rig(1);
  const std::vector<SpillHandle> handles = write_neighbours(rig);
  constexpr std::uint64_t kBad = 5 * kDiskSector;
  rig.disks[0]->set_fault([](const sim::DiskOperation& operation) {
    return operation.offset <= kBad && operation.offset + operation.bytes > kBad ? std::optional(Code::system)
                                                                                 : std::nullopt;
  });
  const std::uint64_t whole = count_whole(rig, handles, Code::system);
  EXPECT_LT(whole, kNeighbours);
  EXPECT_GE(whole, kNeighbours - (kDiskSector / kNeighbourSize + 2)) << "as many as a sector has a part of";
}

TEST(SpillReadTest, WhatLiesBeforeTheEndOfATruncatedBatchComesBack) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  const std::vector<SpillHandle> handles = write_neighbours(*rig);
  fs::resize_file(directory.only_file(), 32_KiB);
  const std::uint64_t whole = count_whole(*rig, handles, Code::corrupt);
  EXPECT_LT(whole, kNeighbours);
  EXPECT_GE(whole, (32_KiB - 2 * kDiskSector) / kNeighbourSize);
}

}  // namespace
}  // namespace holdfast::test
