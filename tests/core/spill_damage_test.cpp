// What happens under spilled objects: files truncated, altered, removed; disks that fill up, fail, or lose
// power.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>

#include "holdfast/base/file.h"
#include "src/spill_files.h"
#include "tests/core/expect.h"
#include "tests/core/spill_rig.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSize = 100'000;  // each begins at a sector of its own

/// Three objects in one file.
struct ThreeObjects {
  explicit ThreeObjects(SpillRig& rig) {
    for (std::uint64_t i = 0; i < 3; ++i) handles.push_back(rig.write(pattern(kSize, i)).value());
  }
  std::vector<SpillHandle> handles;
};

TEST(SpillDamageTest, AnAlteredFileIsCorruptWhereItWasAltered) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  const ThreeObjects objects(*rig);
  const std::string path = directory.only_file();
  const File file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  const std::uint64_t second_at = align_up(kSize, kDiskSector);
  ASSERT_EQ(::pwrite(file.get(), "altered", 7, static_cast<off_t>(second_at + 70'000)), 7);
  ASSERT_EQ(::fsync(file.get()), 0);
  std::vector<std::byte> into(kSize);
  const Status read = rig->read(objects.handles[1], into);
  EXPECT_TRUE(fails(read, Code::corrupt, path));
  EXPECT_TRUE(fails(read, Code::corrupt, "offset " + std::to_string(second_at)));
  EXPECT_TRUE(rig->holds(objects.handles[0], kSize, 0));
  EXPECT_TRUE(rig->holds(objects.handles[2], kSize, 2));
}

TEST(SpillDamageTest, ATruncatedFileIsCorruptBehindItsEnd) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  const ThreeObjects objects(*rig);
  const std::string path = directory.only_file();
  fs::resize_file(path, kSize + 50'000);
  std::vector<std::byte> into(kSize);
  EXPECT_TRUE(rig->holds(objects.handles[0], kSize, 0));
  EXPECT_TRUE(fails(rig->read(objects.handles[1], into), Code::corrupt, path));
  EXPECT_TRUE(fails(rig->read(objects.handles[2], into), Code::corrupt, path));
  // What is written from here on is whole.
  const auto next = rig->write(pattern(kSize, 9));
  ASSERT_TRUE(good(next));
  EXPECT_TRUE(rig->holds(*next, kSize, 9));
}

TEST(SpillDamageTest, DamageIsNotCopiedIntoGoodHealth) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  std::vector<SpillHandle> handles;
  for (std::uint64_t i = 0; i < 10; ++i) handles.push_back(rig->write(pattern(kSize, i)).value());
  const std::string path = directory.only_file();
  const File file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::pwrite(file.get(), "altered", 7, 5), 7);
  ASSERT_EQ(::fsync(file.get()), 0);
  const auto other = rig->write(pattern(600'000, 99));  // closes the first segment
  ASSERT_TRUE(good(other));
  for (std::uint64_t i = 2; i < 10; ++i) rig->files->free(handles[i]);
  rig->settle();
  EXPECT_EQ(rig->total().bytes_moved, 2 * kSize) << "it should have been compacted";
  std::vector<std::byte> into(kSize);
  EXPECT_TRUE(fails(rig->read(handles[0], into), Code::corrupt));
  EXPECT_TRUE(rig->holds(handles[1], kSize, 1));
}

TEST(SpillDamageTest, ADirectoryRemovedWhileInUseKeepsWhatIsOpenAndTakesNothingNew) {
  const TemporaryDirectory first, second;
  auto rig = real_rig({first.path(), second.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  const auto before = rig->write(pattern(kSize, 1));
  ASSERT_TRUE(good(before));
  fs::remove_all(first.path());
  EXPECT_TRUE(rig->holds(*before, kSize, 1));
  std::vector<SpillHandle> after;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const auto handle = rig->write(pattern(kSize, i));
    ASSERT_TRUE(good(handle));
    after.push_back(*handle);
  }
  const SpillStats stats = rig->files->stats();
  EXPECT_NE(stats.directories[0].failed.find(first.path()), std::string::npos) << stats.directories[0].failed;
  EXPECT_EQ(stats.directories[1].failed, "");
  for (std::uint64_t i = 0; i < 40; ++i) EXPECT_TRUE(rig->holds(after[i], kSize, i));
  fs::remove_all(second.path());
  Result<SpillHandle> last = SpillHandle{0};
  for (int i = 0; i < 40 && last; ++i) last = rig->write(pattern(kSize, 1));
  EXPECT_TRUE(fails(last, Code::system, first.path()));
  EXPECT_TRUE(fails(last, Code::system, second.path()));
  EXPECT_TRUE(rig->holds(*before, kSize, 1));
}

/// A memory file system of `bytes` on `path`, seen by this process only. Why not, if not.
std::string mount_small(const std::string& path, std::uint64_t bytes) {
  if (::unshare(CLONE_NEWNS) != 0)
    return std::string("skip: no mount namespace of its own: ") + std::strerror(errno);
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::string("skip: no private mounts: ") + std::strerror(errno);
  const std::string options = "size=" + std::to_string(bytes);
  if (::mount("tmpfs", path.c_str(), "tmpfs", 0, options.c_str()) != 0)
    return std::string("skip: no tmpfs: ") + std::strerror(errno);
  return "";
}

/// Fills a small disk in front of a large one, then the small one alone.
std::string fill_up(const std::string& small, const std::string& large) {
  SpillOptions options = small_segments();
  options.segment_bytes = 16_MiB;  // more than the disk has
  for (const bool alone : {false, true}) {
    std::vector<std::string> directories = {small};
    if (!alone) directories.push_back(large);
    auto rig = real_rig(directories, options);
    if (!rig) return rig.error().message();
    std::vector<SpillHandle> handles;
    Result<SpillHandle> handle = SpillHandle{0};
    for (std::uint64_t i = 0; i < 400 && handle; ++i) {
      handle = rig->write(pattern(kSize, i));
      if (handle) handles.push_back(*handle);
    }
    const SpillDirectoryStats stats = rig->files->stats().directories[0];
    if (stats.bytes_live < 5_MiB)
      return "only " + std::to_string(stats.bytes_live) + " bytes went to the small disk";
    if (stats.failed.find("full") == std::string::npos) return "it should be full: " + stats.failed;
    if (alone == handle.has_value()) return alone ? "it all fits" : handle.error().message();
    if (!handle && handle.error().code != Code::full) return handle.error().message();
    for (std::uint64_t i = 0; i < handles.size(); ++i)
      if (const auto held = rig->holds(handles[i], kSize, i); !held) return held.message();
  }
  return "";
}

TEST(SpillDamageTest, AFullDiskKeepsWhatItHasAndTheNextTakesTheRest) {
  const TemporaryDirectory small, large;
  const std::string said = in_child([&] {
    const std::string mounted = mount_small(small.path(), 8_MiB);
    return mounted.empty() ? fill_up(small.path(), large.path()) : mounted;
  });
  if (said.starts_with("skip: ")) GTEST_SKIP() << said.substr(6);
  EXPECT_EQ(said, "");
}

TEST(SpillDamageTest, ADiskThatIsFullFromTheBeginningCanBeOpened) {
  const TemporaryDirectory directory;
  const std::string said = in_child([&]() -> std::string {
    const std::string mounted = mount_small(directory.path(), 1_MiB);
    if (!mounted.empty()) return mounted;
    const File other(::open((directory.path() + "/other").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (::fallocate(other.get(), 0, 0, static_cast<off_t>(1_MiB)) != 0) return "fallocate";
    auto rig = real_rig({directory.path()}, small_segments());
    if (!rig) return rig.error().message();
    const auto handle = rig->write(pattern(100, 1));
    if (handle) return "it was written";
    return handle.error().code == Code::full ? "" : handle.error().message();
  });
  if (said.starts_with("skip: ")) GTEST_SKIP() << said.substr(6);
  EXPECT_EQ(said, "");
}

TEST(SpillDamageTest, AnObjectTooLargeForTheDiskDoesNotStopOthers) {
  const TemporaryDirectory directory;
  const std::string said = in_child([&]() -> std::string {
    const std::string mounted = mount_small(directory.path(), 8_MiB);
    if (!mounted.empty()) return mounted;
    auto rig = real_rig({directory.path()}, small_segments());
    if (!rig) return rig.error().message();
    const auto large = rig->write(pattern(20_MiB, 1));
    if (large || large.error().code != Code::full) return "20 MiB went to a disk of 8";
    const auto small = rig->write(pattern(2_MiB, 2));
    return small ? "" : small.error().message();
  });
  if (said.starts_with("skip: ")) GTEST_SKIP() << said.substr(6);
  EXPECT_EQ(said, "");
}

TEST(SpillDamageTest, AFullDiskIsWrittenAgainWhenItHasRoomAgain) {
  SimulatedSpill rig(1, small_segments(), 1, {.capacity = 4_MiB});
  for (int round = 0; round < 3; ++round) {
    std::vector<SpillHandle> handles;
    Result<SpillHandle> handle = SpillHandle{0};
    for (std::uint64_t i = 0; i < 100 && handle; ++i)
      if (handle = rig.write(pattern(kSize, i)); handle) handles.push_back(*handle);
    EXPECT_TRUE(fails(handle, Code::full)) << round;
    EXPECT_GT(handles.size(), 25U) << round;
    EXPECT_FALSE(rig.files->writable());
    rig.files->free(handles.back());
    handles.pop_back();
    rig.settle();
    EXPECT_TRUE(fails(rig.write(pattern(kSize, 1)), Code::full)) << "no file has gone";
    for (const SpillHandle one : handles) rig.files->free(one);
    rig.settle();
    EXPECT_TRUE(rig.files->writable());
    EXPECT_EQ(rig.files->stats().directories.front().failed, "");
  }
  rig.disks[0]->set_fault([](const sim::DiskOperation&) { return std::optional(Code::system); });
  EXPECT_TRUE(fails(rig.write(pattern(kSize, 1)), Code::system));
  rig.disks[0]->set_fault(nullptr);
  EXPECT_TRUE(fails(rig.write(pattern(kSize, 1)), Code::system)) << "an error stays";
}

// Of each segment of a full disk one object of 32 stays, and nobody drops more.
constexpr std::uint64_t kSmallDisk = 64_MiB, kOneOf32 = 256_KiB;

SpillOptions eight_segments() {
  SpillOptions options = small_segments();
  options.segment_bytes = kSmallDisk / 8;
  return options;
}

struct MostlyDead {
  /// Why not, if not.
  std::string fill(SpillRig& rig) {
    Result<SpillHandle> handle = SpillHandle{0};
    for (std::uint64_t i = 0; i < 300 && handle; ++i)
      if (handle = rig.write(pattern(kOneOf32, i)); handle) handles.push_back(*handle);
    if (handle || handle.error().code != Code::full) return "the disk should be full";
    if (handles.size() < 200 || rig.files->writable()) return std::to_string(handles.size()) + " are there";
    return "";
  }
  void drop(SpillRig& rig) {
    for (std::uint64_t i = 0; i < handles.size(); ++i)
      if (i % 32 != 31) rig.files->free(handles[i]);
  }
  std::string all_is_well(SpillRig& rig) {
    if (!rig.files->writable())
      return "nothing is written any more: " + rig.files->stats().directories[0].failed;
    for (std::uint64_t i = 31; i < handles.size(); i += 32)
      if (const auto held = rig.holds(handles[i], kOneOf32, i); !held) return held.message();
    if (rig.total().bytes_moved > 4 * handles.size() / 32 * kOneOf32) return "too much was moved";
    std::vector<SpillHandle> more;
    for (std::uint64_t i = 0; i < 200; ++i) {
      const auto handle = rig.write(pattern(kOneOf32, 1000 + i));
      if (!handle) return std::to_string(i) + " more: " + handle.error().message();
      more.push_back(*handle);
    }
    for (std::uint64_t i = 0; i < 200; ++i)
      if (const auto held = rig.holds(more[i], kOneOf32, 1000 + i); !held) return held.message();
    for (std::uint64_t i = 31; i < handles.size(); i += 32)
      if (const auto held = rig.holds(handles[i], kOneOf32, i); !held) return held.message();
    return "";
  }
  std::vector<SpillHandle> handles;
};

TEST(SpillDamageTest, AFullDiskOfWhichMostIsDeadIsWrittenAgain) {
  SimulatedSpill rig(1, eight_segments(), 1, {.capacity = kSmallDisk});
  MostlyDead objects;
  ASSERT_EQ(objects.fill(rig), "");
  objects.drop(rig);
  rig.settle();
  EXPECT_EQ(objects.all_is_well(rig), "");
}

TEST(SpillDamageTest, AFullFileSystemOfWhichMostIsDeadIsWrittenAgain) {
  const TemporaryDirectory directory;
  const std::string said = in_child([&]() -> std::string {
    if (std::string mounted = mount_small(directory.path(), kSmallDisk); !mounted.empty()) return mounted;
    auto rig = real_rig({directory.path()}, eight_segments());
    if (!rig) return rig.error().message();
    MostlyDead objects;
    if (std::string filled = objects.fill(*rig); !filled.empty()) return filled;
    objects.drop(*rig);
    rig->settle();
    return objects.all_is_well(*rig);
  });
  if (said.starts_with("skip: ")) GTEST_SKIP() << said.substr(6);
  EXPECT_EQ(said, "");
}

TEST(SpillDamageTest, WhatIsMovedOnAFullDiskCanBeReadMeanwhile) {
  for (int steps = 0; steps < 200; steps += 7) {
    SimulatedSpill rig(1, eight_segments(), 1, {.capacity = kSmallDisk});
    MostlyDead objects;
    ASSERT_EQ(objects.fill(rig), "");
    std::deque<std::pair<std::vector<std::byte>, std::optional<Status>>> reads;
    const auto read_all = [&] {
      for (std::uint64_t i = 31; i < objects.handles.size(); i += 32) {
        auto& [bytes, ended] = reads.emplace_back(std::vector<std::byte>(kOneOf32), std::nullopt);
        rig.start_read(objects.handles[i], bytes, ended);
      }
    };
    read_all();
    objects.drop(rig);
    for (int i = 0; i < steps; ++i) rig.step();
    read_all();
    rig.settle();
    for (std::uint64_t i = 0; i < reads.size(); ++i) {
      ASSERT_TRUE(good(*reads[i].second)) << steps;
      EXPECT_TRUE(is_pattern(reads[i].first, 31 + i % (reads.size() / 2) * 32)) << steps;
    }
    EXPECT_TRUE(rig.files->writable()) << steps;
  }
}

TEST(SpillDamageTest, CompactionIsTriedAgainAfterAShortage) {
  SimulatedSpill rig(1);
  std::vector<SpillHandle> handles;  // four in each segment
  for (std::uint64_t i = 0; i < 21; ++i) handles.push_back(rig.write(pattern(256_KiB, i)).value());
  rig.disks[0]->set_fault([](const sim::DiskOperation& operation) {
    return operation.action == sim::DiskAction::write ? std::optional(Code::full) : std::nullopt;
  });
  const auto free = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) rig.files->free(handles[i]);
    rig.settle();
  };
  const std::uint64_t written = rig.total().bytes_written;
  free(0, 3);
  free(4, 8);  // a file goes each time, so that there may be room
  free(8, 12);
  free(12, 16);
  EXPECT_EQ(rig.total().bytes_moved, 0u);
  EXPECT_LT(rig.total().bytes_written - written, 2_MiB) << "it is not tried without end";
  rig.disks[0]->set_fault(nullptr);
  free(16, 20);
  EXPECT_GE(rig.total().bytes_moved, 256_KiB) << "it was given up";
  EXPECT_LE(rig.total().segments, 2u);
  EXPECT_TRUE(rig.holds(handles[3], 256_KiB, 3));
  EXPECT_TRUE(rig.holds(handles[20], 256_KiB, 20));
}

TEST(SpillDamageTest, TornAndLostWritesAreNotHandedOut) {
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulatedSpill rig(seed, small_segments(), 2);
    Dice dice(seed);
    // The disk fails in the middle of something: a part of it may be there.
    rig.disks[0]->set_fault([&](const sim::DiskOperation& operation) {
      return operation.action == sim::DiskAction::write && dice.below(20) == 0 ? std::optional(Code::system)
                                                                               : std::nullopt;
    });
    std::deque<std::pair<std::vector<std::byte>, std::optional<Result<SpillHandle>>>> written;
    for (std::uint64_t i = 0; i < 100; ++i) {
      auto& [bytes, handle] = written.emplace_back(pattern(1 + dice.below(300'000), i), std::nullopt);
      rig.start_write(bytes, handle);
    }
    rig.settle();
    for (std::uint64_t i = 0; i < written.size(); ++i) {
      ASSERT_TRUE(good(*written[i].second));
      EXPECT_TRUE(rig.holds(**written[i].second, written[i].first.size(), i));
    }
  }
}

TEST(SpillDamageTest, ASlowDiskIsWaitedFor) {
  SimulatedSpill rig(1);
  rig.disks[0]->slow(100'000);
  const auto handle = rig.write(pattern(kSize, 1));
  ASSERT_TRUE(good(handle));
  EXPECT_GT(rig.timeline.now().time_since_epoch(), std::chrono::seconds(5));
  EXPECT_TRUE(rig.holds(*handle, kSize, 1));
}

}  // namespace
}  // namespace holdfast::test
