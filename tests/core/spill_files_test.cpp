// Objects in segment files: what is written comes back, space comes back, and handles are only theirs.
#include "src/spill_files.h"

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>

#include "tests/core/expect.h"
#include "tests/core/spill_rig.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// Around everything that is handled differently: sectors, pieces of checksums, batches, transfers, segments.
const std::vector<std::uint64_t> kSizes = {
    1,          2,          511,    1023,       1024,    4095,    4096,      4097,  16_KiB - 1, 16_KiB,
    16_KiB + 1, 64_KiB - 1, 64_KiB, 64_KiB + 1, 200'000, 512_KiB, 1_MiB - 1, 1_MiB, 1_MiB + 1,  3_MiB + 777};

struct Written {
  std::uint64_t size = 0;
  std::uint64_t seed = 0;
  std::vector<std::byte> bytes;
  std::optional<Result<SpillHandle>> handle;
};

/// Writes all of them at once.
std::deque<Written> write_all(SpillRig& rig, const std::vector<std::uint64_t>& sizes) {
  std::deque<Written> out;
  for (const std::uint64_t size : sizes) {
    Written& one = out.emplace_back(Written{size, out.size(), pattern(size, out.size()), {}});
    rig.start_write(one.bytes, one.handle);
  }
  for (Written& one : out) rig.run_until([&] { return one.handle.has_value(); });
  return out;
}

/// Reads all of them at once.
void expect_all(SpillRig& rig, const std::deque<Written>& written) {
  std::deque<std::pair<std::vector<std::byte>, std::optional<Status>>> reads;
  for (const Written& one : written) {
    ASSERT_TRUE(good(*one.handle)) << one.size;
    auto& [bytes, ended] = reads.emplace_back(std::vector<std::byte>(one.size), std::nullopt);
    rig.start_read(**one.handle, bytes, ended);
  }
  for (std::size_t i = 0; i < reads.size(); ++i) {
    rig.run_until([&] { return reads[i].second.has_value(); });
    EXPECT_TRUE(good(*reads[i].second)) << written[i].size;
    EXPECT_TRUE(is_pattern(reads[i].first, written[i].seed)) << written[i].size;
  }
}

void round_trips(SpillRig& rig) {
  for (const std::uint64_t size : kSizes) {
    const auto handle = rig.write(pattern(size, size));
    ASSERT_TRUE(good(handle)) << size;
    EXPECT_TRUE(rig.holds(*handle, size, size)) << size;
  }
  expect_all(rig, write_all(rig, kSizes));
}

TEST(SpillFilesTest, ObjectsOfAnySizeComeBackFromARealDisk) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  round_trips(*rig);
}

TEST(SpillFilesTest, ObjectsOfAnySizeComeBackFromASimulatedDisk) {
  SimulatedSpill rig(1);
  round_trips(rig);
}

TEST(SpillFilesTest, ObjectsOfAnySizeComeBackWithTheDefaultOptions) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, SpillOptions());
  ASSERT_TRUE(good(rig));
  round_trips(*rig);
  std::vector<std::uint64_t> sizes(40, 1_MiB + 3);
  sizes.push_back(70_MiB);
  expect_all(*rig, write_all(*rig, sizes));
}

TEST(SpillFilesTest, UnalignedMemoryIsAsGoodAsAny) {
  SimulatedSpill rig(1);
  const auto bytes = pattern(300'000, 5);
  const auto handle = rig.write(std::span(bytes).subspan(3));
  ASSERT_TRUE(good(handle));
  std::vector<std::byte> into(300'000);
  ASSERT_TRUE(good(rig.read(*handle, std::span(into).subspan(3))));
  EXPECT_TRUE(is_pattern(std::span(into).subspan(3), 5, 3));
}

TEST(SpillFilesTest, SmallObjectsShareWritesAndReads) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  const std::vector<std::uint64_t> sizes(5000, 100);
  const auto written = write_all(*rig, sizes);
  EXPECT_LT(rig->total().bytes_written, 2 * 500'000u) << "each by itself would take 4096 bytes";
  expect_all(*rig, written);
  EXPECT_LT(rig->total().bytes_read, 2 * 500'000u);
}

TEST(SpillFilesTest, AnObjectThatComesAloneIsWrittenAtOnce) {
  SimulatedSpill rig(1);
  const TimePoint start = rig.timeline.now();
  ASSERT_TRUE(good(rig.write(pattern(10, 1))));
  EXPECT_LT(rig.timeline.now() - start, std::chrono::microseconds(100)) << "one write takes 82 us";
}

TEST(SpillFilesTest, HandlesEndWithTheirObjects) {
  SimulatedSpill rig(1);
  const auto handle = rig.write(pattern(100, 1));
  ASSERT_TRUE(good(handle));
  EXPECT_NE(*handle, 0u);
  std::vector<std::byte> into(100);
  EXPECT_TRUE(fails(rig.read(*handle, std::span(into).first(99)), Code::invalid, "100 bytes, not 99"));
  rig.files->free(*handle);
  EXPECT_TRUE(fails(rig.read(*handle, into), Code::not_found));
  const auto next = rig.write(pattern(100, 2));
  ASSERT_TRUE(good(next));
  EXPECT_NE(*next, *handle);
  EXPECT_TRUE(fails(rig.read(*handle, into), Code::not_found));
  rig.files->free(*handle);  // again, and one that never was
  rig.files->free(0);
  rig.files->free(~SpillHandle{0});
  EXPECT_TRUE(rig.holds(*next, 100, 2));
  EXPECT_TRUE(fails(rig.read(0, into), Code::not_found));
  EXPECT_TRUE(fails(rig.write({}), Code::invalid));
}

TEST(SpillFilesTest, AReadThatIsUnderWayOutlivesItsObject) {
  for (const std::uint64_t size : {std::uint64_t{100}, 300_KiB, 2_MiB}) {
    SimulatedSpill rig(1);
    const auto handle = rig.write(pattern(size, 7));
    ASSERT_TRUE(good(handle));
    std::vector<std::byte> into(size);
    std::optional<Status> ended;
    rig.start_read(*handle, into, ended);
    rig.files->free(*handle);
    // What is written meanwhile must not go where the bytes still are.
    for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(good(rig.write(pattern(90'000, 100 + i))));
    rig.run_until([&] { return ended.has_value(); });
    EXPECT_TRUE(good(*ended)) << size;
    EXPECT_TRUE(is_pattern(into, 7)) << size;
    rig.settle();
    EXPECT_EQ(rig.total().bytes_live, 20 * 90'000u);
  }
}

TEST(SpillFilesTest, FilesGoWithTheirObjects) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  const auto written = write_all(*rig, std::vector<std::uint64_t>(50, 200'000));
  EXPECT_GE(directory.files().size(), 10u);
  for (const Written& one : written) rig->files->free(**one.handle);
  rig->settle();
  EXPECT_EQ(rig->total().bytes_live, 0u);
  EXPECT_LE(directory.files().size(), 2u) << "the open one and a spare one";
  EXPECT_EQ(rig->total().segments, directory.files().size());
  rig->files.reset();
  EXPECT_TRUE(directory.files().empty());
}

TEST(SpillFilesTest, WhatASegmentHasNotUsedIsGivenBack) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  constexpr std::uint64_t kObject = 600'000;  // one in each segment
  expect_all(*rig, write_all(*rig, std::vector<std::uint64_t>(20, kObject)));
  std::uint64_t in_files = 0;
  for (const std::string& name : directory.files()) in_files += fs::file_size(directory.path() + "/" + name);
  EXPECT_LE(in_files, 19 * align_up(kObject, kDiskSector) + 1_MiB) << "the open one is whole";
  EXPECT_EQ(in_files, rig->total().bytes_in_files);
}

TEST(SpillFilesTest, StatsCountTheObjectsThatAreThere) {
  SimulatedSpill rig(1, small_segments(), 2);
  std::vector<SpillHandle> handles;
  for (std::uint64_t i = 0; i < 30; ++i) handles.push_back(rig.write(pattern(100'000, i)).value());
  handles.push_back(rig.write(pattern(100, 30)).value());
  const SpillStats stats = rig.files->stats();
  EXPECT_EQ(rig.total().objects, 31u);
  for (const SpillDirectoryStats& one : stats.directories) EXPECT_GE(one.objects, 10u) << one.directory;
  for (std::size_t i = 0; i < 30; ++i)
    if (i % 3 != 0) rig.files->free(handles[i]);
  rig.settle();
  EXPECT_GT(rig.total().bytes_moved, 0u) << "what has been moved is counted once";
  EXPECT_EQ(rig.total().objects, 11u);
  for (const SpillHandle handle : handles) rig.files->free(handle);
  rig.settle();
  EXPECT_EQ(rig.total().objects, 0u);
}

TEST(SpillFilesTest, AnEmptySegmentIsWrittenAnew) {
  SimulatedSpill rig(1);
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto handle = rig.write(pattern(300'000, i));
    ASSERT_TRUE(good(handle));
    rig.files->free(*handle);
  }
  EXPECT_EQ(rig.total().segments, 1u);
  EXPECT_EQ(rig.total().bytes_moved, 0u);
}

TEST(SpillFilesTest, DirectoriesAreUsedInTurn) {
  const TemporaryDirectory first, second, third;
  auto rig = real_rig({first.path(), second.path(), third.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  expect_all(*rig, write_all(*rig, std::vector<std::uint64_t>(90, 100'000)));
  const SpillStats stats = rig->files->stats();
  ASSERT_EQ(stats.directories.size(), 3u);
  for (const SpillDirectoryStats& one : stats.directories) {
    EXPECT_EQ(one.segments, 3u) << one.directory;
    EXPECT_EQ(one.bytes_live, 3'000'000u) << one.directory;
  }
  EXPECT_EQ(third.files().size(), 3u);
}

TEST(SpillFilesTest, ClosingEndsWhatIsUnderWay) {
  for (const int steps : {0, 1, 5, 50}) {
    std::deque<Written> written;
    std::deque<std::optional<Status>> reads(10);
    std::vector<std::byte> into(500'000);
    {
      SimulatedSpill rig(1);
      const auto large = rig.write(pattern(500'000, 1)), small = rig.write(pattern(500, 2));
      ASSERT_TRUE(good(large) && good(small));
      for (std::uint64_t i = 0; i < 200; ++i) {
        Written& one = written.emplace_back(Written{0, i, pattern(i * 700 + 1, i), {}});
        rig.start_write(one.bytes, one.handle);
      }
      for (std::size_t i = 0; i < reads.size(); ++i)
        rig.start_read(i % 2 == 0 ? *large : *small, std::span(into).first(i % 2 == 0 ? 500'000 : 500),
                       reads[i]);
      for (int i = 0; i < steps; ++i) rig.timeline.step();
    }
    int ended_well = 0;
    for (const Written& one : written) {
      ASSERT_TRUE(one.handle.has_value());
      EXPECT_TRUE(one.handle->has_value() || fails(*one.handle, Code::timed_out));
      ended_well += one.handle->has_value() ? 1 : 0;
    }
    EXPECT_LT(ended_well, 200) << "steps: " << steps;
    for (const auto& ended : reads) {
      ASSERT_TRUE(ended.has_value());
      EXPECT_TRUE(ended->has_value() || fails(*ended, Code::timed_out));
    }
  }
}

}  // namespace
}  // namespace holdfast::test
