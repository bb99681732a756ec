// Objects come and go at random, against a model: the bytes are right at every read, and the files stay
// within their bound, whatever the disk does.
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "src/spill_files.h"
#include "tests/core/expect.h"
#include "tests/core/spill_rig.h"

namespace holdfast::test {
namespace {

struct Live {
  SpillHandle handle = 0;
  std::uint64_t size = 0;
  std::uint64_t seed = 0;
};

/// What has been started and has not been looked at.
struct Starting {
  std::uint64_t seed = 0;
  std::vector<std::byte> bytes;
  std::optional<Result<SpillHandle>> handle;
};
struct Reading {
  Live object;
  std::vector<std::byte> bytes;
  std::optional<Status> ended;
};

/// Random writes, reads and frees, several under way at once. Errors are for `on_error` to judge.
class Churn {
 public:
  Churn(SpillRig& rig, std::uint64_t seed) : rig_(rig), dice_(seed) {}

  void run(int operations) {
    for (int i = 0; i < operations; ++i) {
      const std::uint64_t kind = dice_.below(10);
      if (kind < 4 || live_.empty()) {
        write();
      } else if (kind < 7) {
        read();
      } else {
        free();
      }
      collect();
      while (starting_.size() + reading_.size() > dice_.below(40)) {
        ASSERT_TRUE(rig_.step());
        collect();
      }
      // What is being written or waits to be moved comes on top of what lives.
      std::uint64_t starting = 0;
      for (const Starting& one : starting_) starting += one.bytes.size();
      EXPECT_LE(rig_.total().bytes_in_files,
                2 * (rig_.total().bytes_live + starting) + 16 * small_segments().segment_bytes);
    }
  }

  void finish() {
    rig_.settle();
    collect();
    ASSERT_TRUE(starting_.empty() && reading_.empty());
  }
  void expect_all_there() {
    for (const auto& [number, object] : live_)
      EXPECT_TRUE(rig_.holds(object.handle, object.size, object.seed));
  }
  void free_all() {
    for (const auto& [number, object] : live_) rig_.files->free(object.handle);
    freed_bytes = written_bytes;
    live_.clear();
    rig_.settle();
  }
  std::uint64_t live_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [number, object] : live_) sum += object.size;
    return sum;
  }

  std::uint64_t written_bytes = 0;  ///< of objects
  std::uint64_t freed_bytes = 0;
  int write_errors = 0;
  int read_errors = 0;
  std::function<void(const Error&)> on_error = [](const Error& error) { ADD_FAILURE() << error.message(); };

 private:
  /// Small ones mostly, some larger than a segment.
  std::uint64_t size() {
    const std::uint64_t kind = dice_.below(100);
    if (kind < 60) return 1 + dice_.below(8_KiB);
    if (kind < 90) return 1 + dice_.below(200_KiB);
    return 1 + dice_.below(kind < 98 ? 1_MiB : 2_MiB);
  }
  void write() {
    const std::uint64_t seed = dice_.next();
    Starting& one = starting_.emplace_back(Starting{seed, pattern(size(), seed), {}});
    rig_.start_write(one.bytes, one.handle);
  }
  void read() {
    const auto at = any();
    Reading& one = reading_.emplace_back(Reading{at->second, std::vector<std::byte>(at->second.size), {}});
    rig_.start_read(one.object.handle, one.bytes, one.ended);
  }
  void free() {
    const auto at = any();
    freed_bytes += at->second.size;
    rig_.files->free(at->second.handle);
    live_.erase(at);
  }
  std::map<std::uint64_t, Live>::iterator any() {
    const auto at = live_.lower_bound(dice_.below(next_));
    return at == live_.end() ? live_.begin() : at;
  }
  void collect() {
    std::erase_if(starting_, [&](Starting& one) {
      if (!one.handle) return false;
      if (*one.handle) {
        live_.emplace(next_++, Live{**one.handle, one.bytes.size(), one.seed});
        written_bytes += one.bytes.size();
      } else {
        ++write_errors;
        on_error(one.handle->error());
      }
      return true;
    });
    std::erase_if(reading_, [&](Reading& one) {
      if (!one.ended) return false;
      if (*one.ended) {
        EXPECT_TRUE(is_pattern(one.bytes, one.object.seed));
      } else {
        ++read_errors;
        on_error(one.ended->error());
      }
      return true;
    });
  }

  SpillRig& rig_;
  Dice dice_;
  std::map<std::uint64_t, Live> live_;
  std::uint64_t next_ = 0;
  std::list<Starting> starting_;
  std::list<Reading> reading_;
};

/// All that must hold when nothing is under way.
void expect_bounds(const SpillRig& rig, const Churn& churn, std::uint64_t directories) {
  const SpillDirectoryStats total = rig.total();
  EXPECT_EQ(total.bytes_live, churn.live_bytes());
  // The open segment, a spare one a directory.
  EXPECT_LE(total.bytes_in_files, 2 * total.bytes_live + (1 + directories) * small_segments().segment_bytes);
  const std::uint64_t padding = total.bytes_written - churn.written_bytes - total.bytes_moved;
  EXPECT_LE(total.bytes_moved, churn.freed_bytes + padding);
}

TEST(SpillChurnTest, TheModelAndTheFilesAgreeOnSimulatedDisks) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulatedSpill rig(seed, small_segments(), static_cast<std::uint32_t>(1 + seed % 3));
    Churn churn(rig, seed);
    churn.run(3000);
    churn.finish();
    churn.expect_all_there();
    rig.settle();
    expect_bounds(rig, churn, rig.disks.size());
    EXPECT_GT(rig.total().bytes_moved, 0u) << "nothing was compacted";
    churn.free_all();
    EXPECT_LE(rig.total().segments, 1 + rig.disks.size());
    EXPECT_EQ(rig.total().bytes_live, 0u);
  }
}

TEST(SpillChurnTest, TheModelAndTheFilesAgreeOnARealDisk) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(rig));
  Churn churn(*rig, 42);
  churn.run(3000);
  churn.finish();
  churn.expect_all_there();
  rig->settle();
  expect_bounds(*rig, churn, 1);
  std::uint64_t in_files = 0;
  for (const std::string& name : directory.files())
    in_files += std::filesystem::file_size(directory.path() + "/" + name);
  EXPECT_EQ(in_files, rig->total().bytes_in_files);
}

TEST(SpillChurnTest, ARunIsAFunctionOfItsSeed) {
  const auto run = [](std::uint64_t seed) {
    SimulatedSpill rig(seed, small_segments(), 2);
    Churn churn(rig, seed);
    churn.run(1000);
    churn.finish();
    return std::pair(rig.timeline.trace().hash(), rig.timeline.now());
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

TEST(SpillChurnTest, TinyObjectsAreCompactedToo) {
  SimulatedSpill rig(1);
  // One at a time: each takes a sector, so most of what is written is dead from the beginning.
  std::vector<SpillHandle> handles;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const auto handle = rig.write(pattern(1 + i % 50, i));
    ASSERT_TRUE(good(handle));
    handles.push_back(*handle);
  }
  rig.settle();
  EXPECT_LE(rig.total().segments, 3u) << "2000 sectors are 8 segments";
  for (std::uint64_t i = 0; i < handles.size(); ++i) EXPECT_TRUE(rig.holds(handles[i], 1 + i % 50, i));
}

TEST(SpillChurnTest, WhatCompactionMovesCanBeReadAndFreedMeanwhile) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimulatedSpill rig(seed);
    Dice dice(seed);
    std::deque<Live> objects;
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t size = 1 + dice.below(i % 3 == 0 ? 200_KiB : 20_KiB);
      const auto handle = rig.write(pattern(size, dice.next() % 1000 + seed * 1000));
      ASSERT_TRUE(good(handle));
      rig.files->free(*handle);
      const auto kept = rig.write(pattern(size, static_cast<std::uint64_t>(i)));
      ASSERT_TRUE(good(kept));
      objects.push_back({*kept, size, static_cast<std::uint64_t>(i)});
    }
    const std::uint64_t moved = rig.total().bytes_moved;
    // Each freed object may set a compaction off; at every step of it one more is read, or goes.
    while (objects.size() > 5) {
      const std::size_t at = dice.below(objects.size());
      rig.files->free(objects[at].handle);
      objects.erase(objects.begin() + static_cast<std::ptrdiff_t>(at));
      const Live& other = objects[dice.below(objects.size())];
      EXPECT_TRUE(rig.holds(other.handle, other.size, other.seed));
    }
    rig.settle();
    EXPECT_GT(rig.total().bytes_moved, moved) << "nothing was compacted";
    for (const Live& one : objects) EXPECT_TRUE(rig.holds(one.handle, one.size, one.seed));
  }
}

TEST(SpillChurnTest, NothingIsLostWhileDisksFailAtRandom) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    sim::DiskOptions options;
    options.jitter = std::chrono::milliseconds(5);
    SimulatedSpill rig(seed, small_segments(), 3, options);
    Dice dice(seed + 1000);
    // After some writes, the first disk refuses more and reads of the second fail now and then, so that the
    // last one has all.
    std::array<std::uint64_t, 2> writes_left = {100 + dice.below(500), 100 + dice.below(500)};
    for (std::size_t i = 0; i < 2; ++i)
      rig.disks[i]->set_fault([&, i](const sim::DiskOperation& operation) -> std::optional<Code> {
        const bool read = operation.action == sim::DiskAction::read;
        if (writes_left[i] > 0)
          writes_left[i] -= read ? 0 : 1;
        else if (i == 0 ? !read : read && dice.below(20) == 0)
          return Code::system;
        return std::nullopt;
      });
    rig.disks[2]->slow(3);
    Churn churn(rig, seed);
    churn.on_error = [](const Error& error) {
      EXPECT_EQ(error.code, Code::system) << error.message();
      EXPECT_NE(error.message().find("disk"), std::string::npos) << "names the file: " << error.message();
    };
    churn.run(3000);
    churn.finish();
    EXPECT_EQ(churn.write_errors, 0) << "there was always a disk that took it";
    EXPECT_GT(churn.read_errors, 0);
    EXPECT_NE(rig.files->stats().directories[0].failed.find("Disk::write"), std::string::npos);
    EXPECT_NE(rig.files->stats().directories[1].failed.find("Disk::read"), std::string::npos);
    EXPECT_EQ(rig.files->stats().directories[2].failed, "");
    for (auto& disk : rig.disks) disk->set_fault(nullptr);
    churn.expect_all_there();
  }
}

TEST(SpillChurnTest, ADiskThatFillsUpKeepsWhatItHas) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    sim::DiskOptions options;
    options.capacity = 6_MiB + seed * 100'000;
    SimulatedSpill rig(seed, small_segments(), 2, options);
    Churn churn(rig, seed);
    churn.on_error = [](const Error& error) {
      EXPECT_EQ(error.code, Code::full) << error.message();
      EXPECT_NE(error.message().find("disk0"), std::string::npos) << error.message();
      EXPECT_NE(error.message().find("disk1"), std::string::npos) << error.message();
    };
    churn.run(3000);
    churn.finish();
    EXPECT_GT(churn.write_errors, 0);
    EXPECT_EQ(churn.read_errors, 0);
    churn.expect_all_there();
    churn.free_all();
    EXPECT_EQ(rig.total().bytes_live, 0u);
  }
}

}  // namespace
}  // namespace holdfast::test
