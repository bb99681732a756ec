// How fast do objects go to disk and come back, in the files of spilling alone, and through a store? The
// limit is the disk itself: O_DIRECT transfers by io_uring on one preallocated file in the same directory, of
// the size and number in flight that were fastest there. The directory is $HOLDFAST_BENCH_SPILL, or the one
// the program is started in; on a memory file system nothing would be measured.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <liburing.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/spill_store.h"
#include "holdfast/base/environment.h"
#include "holdfast/base/file.h"
#include "holdfast/base/units.h"
#include "src/spill_files.h"
#include "src/uring_disk.h"

namespace holdfast::bench {
namespace {

constexpr std::uint64_t kRoundBytes = 256_MiB;  ///< moved in each round, by either side

enum class Direction : std::uint8_t { spill, restore };

/// Transfers of one file, some in flight, from the first byte to the last.
class RawDisk {
 public:
  static Result<std::unique_ptr<RawDisk>> open(const std::string& directory) {
    std::unique_ptr<RawDisk> raw(new RawDisk);
    const std::string path = fmt::format("{}/bench-spill-{}.raw", directory, ::getpid());
    raw->file_ = File(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600));
    if (!raw->file_) return fail_errno(errno, "bench_spill", path + " (O_DIRECT)");
    ::unlink(path.c_str());
    if (::fallocate(raw->file_.get(), 0, 0, kRoundBytes) != 0) return fail_errno(errno, "bench_spill", path);
    if (const int error = io_uring_queue_init(kMostDepth, &raw->ring_, 0); error < 0)
      return fail_errno(-error, "bench_spill", "io_uring");
    raw->ring_open_ = true;
    raw->memory_.reset(static_cast<std::byte*>(std::aligned_alloc(2_MiB, kMemory)));
    ::madvise(raw->memory_.get(), kMemory, MADV_HUGEPAGE);  // twice as fast as on small pages
    std::memset(raw->memory_.get(), 1, kMemory);
    HOLDFAST_DO(raw->find_best());
    return raw;
  }
  ~RawDisk() {
    if (ring_open_) io_uring_queue_exit(&ring_);
  }
  RawDisk(const RawDisk&) = delete;
  RawDisk& operator=(const RawDisk&) = delete;

  /// Bytes a second.
  Result<double> best(Direction direction) {
    return run(direction, best_[direction == Direction::spill ? 0 : 1]);
  }

 private:
  static constexpr unsigned kMostDepth = 32;
  static constexpr std::uint64_t kMemory = 64_MiB;
  struct Shape {
    std::uint64_t bytes = 0;
    unsigned depth = 0;
  };
  struct FreeMemory {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  RawDisk() = default;

  Status find_best() {
    HOLDFAST_DO(run(Direction::spill, {1_MiB, 4}));  // the file has its blocks from here on
    for (const Direction direction : {Direction::spill, Direction::restore}) {
      double most = 0;
      Shape& best = best_[direction == Direction::spill ? 0 : 1];
      for (const std::uint64_t bytes : {256_KiB, 1_MiB, 4_MiB})
        for (const unsigned depth : {1U, 2U, 4U, 8U, 16U}) {
          // The best of several: what disturbs the machine must not choose the limit.
          double rate = 0;
          for (int i = 0; i < 5; ++i) {
            HOLDFAST_TRY(const double once, run(direction, {bytes, depth}));
            rate = std::max(rate, once);
          }
          if (rate <= most) continue;
          most = rate;
          best = {bytes, depth};
        }
    }
    return {};
  }

  Result<double> run(Direction direction, Shape shape) {
    const Stopwatch watch;
    std::uint64_t next = 0, done = 0;
    unsigned flying = 0;
    while (done < kRoundBytes) {
      for (; flying < shape.depth && next < kRoundBytes; ++flying, next += shape.bytes) {
        io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
        std::byte* const memory = memory_.get() + next % (shape.bytes * shape.depth);
        const auto bytes = static_cast<unsigned>(shape.bytes);
        if (direction == Direction::spill)
          io_uring_prep_write(entry, file_.get(), memory, bytes, next);
        else
          io_uring_prep_read(entry, file_.get(), memory, bytes, next);
        io_uring_submit(&ring_);
      }
      io_uring_cqe* ended = nullptr;
      if (const int error = io_uring_wait_cqe(&ring_, &ended); error < 0)
        return fail_errno(-error, "bench_spill", "io_uring");
      const int result = ended->res;
      io_uring_cqe_seen(&ring_, ended);
      if (result != static_cast<int>(shape.bytes))
        return fail_errno(result < 0 ? -result : EIO, "bench_spill", "a raw transfer");
      done += shape.bytes;
      --flying;
    }
    return static_cast<double>(kRoundBytes) / watch.ns() * 1e9;
  }

  File file_;
  io_uring ring_{};
  bool ring_open_ = false;
  std::unique_ptr<std::byte, FreeMemory> memory_;
  Shape best_[2];
};

/// Objects of one size through SpillFiles alone, with as much under way as a member has that spills: more
/// than there are buffers for.
class Objects {
 public:
  static constexpr std::uint64_t kBytesAtOnce = 64_MiB;

  Objects(std::unique_ptr<SpillFiles> files, std::uint64_t size)
      : files_(std::move(files)), size_(size), memory_(kRoundBytes + 1, std::byte{1}) {}

  Result<double> spill() {
    free_all();
    const Stopwatch watch;
    HOLDFAST_DO(run([&](std::uint64_t i) {
      spawn(files_->write(bytes(i)), [this](Result<SpillHandle> handle) {
        if (handle)
          handles_.push_back(*handle);
        else
          error_ = std::move(handle).error();
        --under_way_;
      });
    }));
    return static_cast<double>(kRoundBytes) / watch.ns() * 1e9;
  }
  Result<double> restore() {
    if (handles_.empty()) HOLDFAST_DO(spill());
    const Stopwatch watch;
    HOLDFAST_DO(run([&](std::uint64_t i) {
      spawn(files_->read(handles_[i], bytes(i)), [this](Status read) {
        if (!read) error_ = std::move(read).error();
        --under_way_;
      });
    }));
    return static_cast<double>(kRoundBytes) / watch.ns() * 1e9;
  }

 private:
  /// Memory as it is in an arena: not at a sector's boundary.
  std::span<std::byte> bytes(std::uint64_t i) { return std::span(memory_).subspan(1 + i * size_, size_); }
  void free_all() {
    for (const SpillHandle handle : handles_) files_->free(handle);
    handles_.clear();
    while (!files_->idle()) files_->drive(Deadline::never());
  }
  template <class Start>
  Status run(Start start) {
    const std::uint64_t at_once = std::max<std::uint64_t>(kBytesAtOnce / size_, 2);
    for (std::uint64_t i = 0; i < kRoundBytes / size_ || under_way_ > 0;) {
      if (i < kRoundBytes / size_ && under_way_ < at_once) {
        ++under_way_;
        start(i++);
      } else {
        files_->drive(Deadline::never());
      }
    }
    if (error_) return tl::unexpected(*error_);
    return {};
  }

  std::unique_ptr<SpillFiles> files_;
  const std::uint64_t size_;
  std::vector<std::byte> memory_;
  std::vector<SpillHandle> handles_;
  std::uint64_t under_way_ = 0;
  std::optional<Error> error_;
};

Result<std::string> directory() {
  HOLDFAST_TRY(const Environment environment, Environment::read());
  return std::string(environment.get(Variable::bench_spill).value_or("."));
}

std::unique_ptr<RawDisk> raw;

/// The directory, and the disk measured as the limit.
Result<std::string> prepare_disk() {
  HOLDFAST_TRY(std::string path, directory());
  struct statfs about {};
  if (::statfs(path.c_str(), &about) == 0 && about.f_type == TMPFS_MAGIC)
    return fail(
        Code::invalid, "bench_spill",
        fmt::format("{} lies in memory (tmpfs); set HOLDFAST_BENCH_SPILL to a directory on a disk", path));
  if (!raw) {
    HOLDFAST_TRY(raw, RawDisk::open(path));
  }
  return path;
}

Result<Case> prepare(std::uint64_t size, Direction direction) {
  HOLDFAST_TRY(const std::string path, prepare_disk());
  HOLDFAST_TRY(auto disks, UringDisk::open(std::vector{path}));
  auto objects =
      std::make_shared<Objects>(std::make_unique<SpillFiles>(std::move(disks), SpillOptions()), size);
  return Case{
      [direction] { return raw->best(direction); },
      [objects, direction] { return direction == Direction::spill ? objects->spill() : objects->restore(); }};
}

Result<Case> prepare_store(std::uint64_t size, Direction direction) {
  HOLDFAST_TRY(const std::string path, prepare_disk());
  HOLDFAST_TRY(std::shared_ptr<StoreObjects> objects, StoreObjects::open(path, size, kRoundBytes));
  return Case{
      [direction] { return raw->best(direction); },
      [objects, direction] { return direction == Direction::spill ? objects->spill() : objects->restore(); }};
}

void add_cases() {
  struct Size {
    const char* text;
    std::uint64_t bytes;
  };
  const auto add = [](const char* prefix, const Size& size, auto prepare_case) {
    for (const Direction direction : {Direction::spill, Direction::restore}) {
      const char* const what = direction == Direction::spill ? "spill" : "spill_restore";
      add_case({.name = fmt::format("{}{}/{}", prefix, what, size.text),
                .quantity = Quantity::bytes_per_s,
                .goal = Goal::ratio_at_least(0.8),
                .rounds = 9},
               [=, bytes = size.bytes] { return prepare_case(bytes, direction); });
    }
  };
  for (const Size& size : {Size{"64KiB", 64_KiB}, Size{"1MiB", 1_MiB}, Size{"64MiB", 64_MiB}})
    add("", size, prepare);
  for (const Size& size : {Size{"64KiB", 64_KiB}, Size{"1MiB", 1_MiB}}) add("store_", size, prepare_store);
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(argc, argv, add_cases, [] { raw.reset(); });
}
