// What the tests of spilling work with: child processes, and SpillFiles on real or simulated disks, driven
// until what is asked for has ended.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/check.h"
#include "holdfast/base/units.h"
#include "sim/sim_disk.h"
#include "src/spill_files.h"
#include "src/uring_disk.h"
#include "tests/core/expect.h"
#include "tests/core/temporary_directory.h"

namespace holdfast::test {

/// Runs `body` in a process of its own; what it returns: empty for success.
inline std::string in_child(const std::function<std::string()>& body) {
  std::array<int, 2> ends{};
  HOLDFAST_CHECK(::pipe(ends.data()) == 0, "pipe");
  const pid_t child = ::fork();
  HOLDFAST_CHECK(child >= 0, "fork");
  if (child == 0) {
    const std::string said = body();
    [[maybe_unused]] const ssize_t written = ::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  std::array<char, 512> part;
  for (ssize_t got = 0; (got = ::read(ends[0], part.data(), part.size())) > 0;)
    said.append(part.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    said += " (the process ended with " + std::to_string(status) + ")";
  return said;
}

/// SpillFiles and what makes them move.
struct SpillRig {
  std::unique_ptr<SpillFiles> files;
  std::function<bool()> step;  ///< false: nothing is left that could move

  void run_until(const std::function<bool()>& done) {
    while (!done()) HOLDFAST_CHECK(step(), "what is waited for cannot come any more");
  }
  void settle() {
    run_until([&] { return files->idle(); });
  }
  /// Starts it; `out` has a value when it has ended.
  void start_write(std::span<const std::byte> bytes, std::optional<Result<SpillHandle>>& out) {
    spawn(files->write(bytes), [&out](Result<SpillHandle> ended) { out.emplace(std::move(ended)); });
  }
  void start_read(SpillHandle handle, std::span<std::byte> into, std::optional<Status>& out) {
    spawn(files->read(handle, into), [&out](Status ended) { out.emplace(std::move(ended)); });
  }
  Result<SpillHandle> write(std::span<const std::byte> bytes) {
    std::optional<Result<SpillHandle>> out;
    start_write(bytes, out);
    run_until([&] { return out.has_value(); });
    return *std::move(out);
  }
  Status read(SpillHandle handle, std::span<std::byte> into) {
    std::optional<Status> out;
    start_read(handle, into, out);
    run_until([&] { return out.has_value(); });
    return *std::move(out);
  }
  /// The object of `size` bytes is the one of `seed`.
  testing::AssertionResult holds(SpillHandle handle, std::uint64_t size, std::uint64_t seed) {
    std::vector<std::byte> bytes(size);
    if (const Status read_back = read(handle, bytes); !read_back)
      return testing::AssertionFailure() << read_back.error().message();
    if (!is_pattern(bytes, seed))
      return testing::AssertionFailure() << "other bytes than those of seed " << seed;
    return testing::AssertionSuccess();
  }
  /// Over all directories.
  SpillDirectoryStats total() const {
    SpillDirectoryStats sum;
    for (const SpillDirectoryStats& one : files->stats().directories) {
      sum.bytes_live += one.bytes_live;
      sum.bytes_in_files += one.bytes_in_files;
      sum.objects += one.objects;
      sum.segments += one.segments;
      sum.bytes_written += one.bytes_written;
      sum.bytes_read += one.bytes_read;
      sum.bytes_moved += one.bytes_moved;
    }
    return sum;
  }
};

/// Segments and transfers small enough that little data shows everything.
inline SpillOptions small_segments() {
  SpillOptions out;
  out.segment_bytes = 1_MiB;
  out.transfer_bytes = 64_KiB;
  out.bytes_in_flight = 512_KiB;
  return out;
}

/// In real directories.
inline Result<SpillRig> real_rig(const std::vector<std::string>& directories, const SpillOptions& options,
                                 const UringDiskOptions& how = {}) {
  HOLDFAST_TRY(auto disks, UringDisk::open(directories, how));
  SpillRig rig;
  rig.files = std::make_unique<SpillFiles>(std::move(disks), options);
  rig.step = [files = rig.files.get()] {
    return files->drive(Deadline::after(real_clock(), std::chrono::minutes(1))) > 0;
  };
  return rig;
}

/// On `count` simulated disks.
struct SimulatedSpill : SpillRig {
  explicit SimulatedSpill(std::uint64_t seed, const SpillOptions& options = small_segments(),
                          std::uint32_t count = 1, const sim::DiskOptions& disk = {})
      : timeline(seed) {
    std::vector<std::unique_ptr<Disk>> adapters;
    for (std::uint32_t i = 0; i < count; ++i) {
      disks.push_back(std::make_unique<sim::Disk>(timeline, i, disk));
      adapters.push_back(std::make_unique<sim::SimDisk>(*disks.back(), "disk" + std::to_string(i)));
    }
    files = std::make_unique<SpillFiles>(std::move(adapters), options);
    step = [this] { return timeline.step(); };
  }
  ~SimulatedSpill() { files.reset(); }
  SimulatedSpill(const SimulatedSpill&) = delete;
  SimulatedSpill& operator=(const SimulatedSpill&) = delete;

  sim::Timeline timeline;
  std::vector<std::unique_ptr<sim::Disk>> disks;
};

}  // namespace holdfast::test
