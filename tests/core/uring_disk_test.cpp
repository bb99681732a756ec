// A directory of this machine as a Disk: how it is reached, what it says when it cannot be, and whose files
// go.
#include "src/uring_disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <thread>

#include "tests/core/expect.h"
#include "tests/core/spill_rig.h"
#include "tests/fabric/ended.h"

namespace holdfast::test {
namespace {

using fabric::test::Ended;
namespace fs = std::filesystem;

constexpr pid_t kNoProcess = 4'194'304 + 1;  // above the largest pid_max

Result<std::unique_ptr<Disk>> open_one(const std::string& path, const UringDiskOptions& options = {}) {
  HOLDFAST_TRY(auto disks, UringDisk::open(std::vector{path}, options));
  return std::move(disks.front());
}

/// Memory that O_DIRECT takes.
struct Aligned {
  explicit Aligned(std::size_t bytes)
      : data(static_cast<std::byte*>(std::aligned_alloc(kDiskSector, bytes))), size(bytes) {}
  ~Aligned() { std::free(data); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  std::span<std::byte> bytes() const { return {data, size}; }
  std::byte* data;
  std::size_t size;
};

Status finish(Disk& disk, Ended& ended) {
  EXPECT_EQ(ended.calls, 0) << "completed from inside the starting call";
  while (!ended.ended()) disk.drive(Deadline::never());
  if (ended.ok()) return {};
  return fail(ended.code(), "test", ended.message());
}
Status write(Disk& disk, FileNumber file, std::uint64_t offset, std::span<const std::byte> bytes) {
  Ended ended;
  disk.write(file, offset, bytes, ended);
  return finish(disk, ended);
}
Status read(Disk& disk, FileNumber file, std::uint64_t offset, std::span<std::byte> into) {
  Ended ended;
  disk.read(file, offset, into, ended);
  return finish(disk, ended);
}

void make_file(const std::string& path, std::string_view text = "somebody's") { std::ofstream(path) << text; }

std::string name_of(std::uint64_t user, std::uint64_t process, std::uint64_t started, std::uint64_t number) {
  return SpillFileName{user, process, started, number}.text();
}

// --- reading and writing, however it is done

class UringDiskModes : public testing::TestWithParam<UringDiskOptions> {};

TEST_P(UringDiskModes, ReadsWhatWasWritten) {
  const TemporaryDirectory directory;
  auto disk = open_one(directory.path(), GetParam());
  ASSERT_TRUE(good(disk));
  const auto file = (*disk)->create("7", 1_MiB);
  ASSERT_TRUE(good(file));
  EXPECT_EQ(fs::file_size((*disk)->describe(*file)), 1_MiB);
  const Aligned from(256_KiB), into(256_KiB);
  fill_pattern(from.bytes(), 1);
  ASSERT_TRUE(good(write(**disk, *file, 64_KiB, from.bytes())));
  ASSERT_TRUE(good(read(**disk, *file, 64_KiB, into.bytes())));
  EXPECT_TRUE(is_pattern(into.bytes(), 1));
  ASSERT_TRUE(good((*disk)->shrink(*file, 128_KiB)));
  EXPECT_TRUE(fails(read(**disk, *file, 64_KiB, into.bytes()), Code::corrupt, "truncated"));
  EXPECT_TRUE(fails(read(**disk, *file, 512_KiB, into.bytes()), Code::corrupt, (*disk)->describe(*file)));
  ASSERT_TRUE(good((*disk)->remove(*file)));
  EXPECT_TRUE(directory.files().empty());
}

TEST_P(UringDiskModes, ManyAtOnceEndOnceEach) {
  const TemporaryDirectory directory;
  auto disk = open_one(directory.path(), GetParam());
  ASSERT_TRUE(good(disk));
  const auto file = (*disk)->create("1", 8_MiB);
  ASSERT_TRUE(good(file));
  constexpr std::size_t kCount = 1000;  // more than the ring has places
  const Aligned memory(kCount * kDiskSector), into(kCount * kDiskSector);
  fill_pattern(memory.bytes(), 9);
  for (const DiskAction action : {DiskAction::write, DiskAction::read}) {
    std::deque<Ended> ended(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      if (action == DiskAction::write)
        (*disk)->write(*file, i * kDiskSector, memory.bytes().subspan(i * kDiskSector, kDiskSector),
                       ended[i]);
      else
        (*disk)->read(*file, i * kDiskSector, into.bytes().subspan(i * kDiskSector, kDiskSector), ended[i]);
    }
    std::size_t count = 0;
    while (count < kCount) count += (*disk)->drive(Deadline::never());
    EXPECT_EQ(count, kCount);
    for (const Ended& one : ended) EXPECT_TRUE(one.ok()) << one.message();
  }
  EXPECT_TRUE(is_pattern(into.bytes(), 9));
}

TEST_P(UringDiskModes, DrivingEndsWithItsDeadlineOrAWake) {
  const TemporaryDirectory directory;
  auto disk = open_one(directory.path(), GetParam());
  ASSERT_TRUE(good(disk));
  EXPECT_EQ((*disk)->drive(Deadline::after(real_clock(), Duration::zero())), 0u);
  EXPECT_EQ((*disk)->drive(Deadline::after(real_clock(), std::chrono::milliseconds(20))), 0u);
  (*disk)->wake();  // before: not lost
  (*disk)->wake();
  EXPECT_EQ((*disk)->drive(Deadline::never()), 0u);
  std::thread waker([&] { (*disk)->wake(); });
  EXPECT_EQ((*disk)->drive(Deadline::never()), 0u);
  waker.join();
}

TEST_P(UringDiskModes, StopEndsWhatIsUnderWay) {
  const TemporaryDirectory directory;
  auto disk = open_one(directory.path(), GetParam());
  ASSERT_TRUE(good(disk));
  const auto file = (*disk)->create("1", 1_MiB);
  ASSERT_TRUE(good(file));
  const Aligned memory(1_MiB);
  fill_pattern(memory.bytes(), 1);
  std::deque<Ended> ended(8);
  for (Ended& one : ended) (*disk)->write(*file, 0, memory.bytes(), one);
  (*disk)->stop();
  for (const Ended& one : ended) EXPECT_EQ(one.calls, 1);
}

TEST_P(UringDiskModes, SpillFilesWorkOnIt) {
  const TemporaryDirectory directory;
  auto rig = real_rig({directory.path()}, small_segments(), GetParam());
  ASSERT_TRUE(good(rig));
  for (const std::uint64_t size : {std::uint64_t{1}, 10'000UL, 300'000UL, 3'000'000UL}) {
    const auto handle = rig->write(pattern(size, size));
    ASSERT_TRUE(good(handle));
    EXPECT_TRUE(rig->holds(*handle, size, size));
  }
}

INSTANTIATE_TEST_SUITE_P(All, UringDiskModes,
                         testing::Values(UringDiskOptions{true, true}, UringDiskOptions{false, true},
                                         UringDiskOptions{true, false}, UringDiskOptions{false, false}),
                         [](const auto& mode) {
                           return std::string(mode.param.use_uring ? "Uring" : "Pread") +
                                  (mode.param.use_direct ? "Direct" : "Buffered");
                         });

TEST(UringDiskTest, SaysHowItIsReached) {
  const TemporaryDirectory directory;
  const auto mode = [&](const UringDiskOptions& options) {
    return open_one(directory.path(), options).value()->mode();
  };
  EXPECT_EQ(mode({false, true}).find("pread and pwrite"), 0u);
  EXPECT_NE(mode({false, true}).find("not asked for"), std::string::npos);
  EXPECT_NE(mode({true, false}).find("buffered"), std::string::npos);
}

/// From here on a system call is refused to this process, as containers do.
bool refuse(unsigned call, int error_number) {
  const std::array<sock_filter, 4> program = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error_number)),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter{static_cast<unsigned short>(program.size()),
                          const_cast<sock_filter*>(program.data())};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(UringDiskTest, DoesWithoutIoUringWhereItIsRefused) {
  for (const int error_number : {ENOSYS, EPERM}) {
    const TemporaryDirectory directory;
    const std::string said = in_child([&]() -> std::string {
      if (!refuse(SYS_io_uring_setup, error_number)) return "no filters of system calls here";
      auto rig = real_rig({directory.path()}, small_segments());
      if (!rig) return rig.error().message();
      const std::string mode = rig->files->stats().directories.front().mode;
      if (mode.find("io_uring_setup: ") == std::string::npos) return mode;
      const auto handle = rig->write(pattern(300'000, 1));
      if (!handle) return handle.error().message();
      return rig->holds(*handle, 300'000, 1) ? "" : "other bytes";
    });
    EXPECT_EQ(said, "");
  }
}

// --- opening

TEST(UringDiskTest, DirectoriesThatCannotBeUsedAreNamedWithTheFix) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(fails(open_one(directory.path() + "/missing"), Code::invalid,
                    "mkdir -p " + directory.path() + "/missing"));
  make_file(directory.path() + "/file");
  EXPECT_TRUE(fails(open_one(directory.path() + "/file"), Code::invalid, "not a directory"));
  EXPECT_TRUE(
      fails(UringDisk::open(std::vector{directory.path(), directory.path() + "/."}), Code::invalid, "twice"));
}

TEST(UringDiskTest, ADirectoryThatMayNotBeWrittenIsNamedWithTheFix) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0555), 0);
  const std::string said = in_child([&]() -> std::string {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) return "skip: root, who may write anywhere";
    const auto disk = open_one(directory.path());
    if (disk) return "it was opened";
    const std::string message = disk.error().message();
    return disk.error().code == Code::denied && message.find(directory.path()) != std::string::npos &&
                   message.find("may write") != std::string::npos
               ? ""
               : message;
  });
  if (said.starts_with("skip: ")) GTEST_SKIP() << said.substr(6);
  EXPECT_EQ(said, "");
  EXPECT_TRUE(directory.files().empty());
}

TEST(UringDiskTest, AFileSystemWithoutLocksIsNamedWithTheFix) {
  for (const int error_number : {ENOLCK, ENOSYS, EOPNOTSUPP}) {
    const TemporaryDirectory directory;
    const std::string said = in_child([&]() -> std::string {
      if (!refuse(SYS_flock, error_number)) return "no filters of system calls here";
      const auto disk = open_one(directory.path());
      if (disk) return "it was opened";
      const std::string message = disk.error().message();
      return disk.error().code == Code::system &&
                     message.find("choose a directory on a local disk") != message.npos
                 ? ""
                 : message;
    });
    EXPECT_EQ(said, "");
    EXPECT_TRUE(directory.files().empty());
  }
}

TEST(UringDiskTest, FilesAreForTheirUserOnlyAndGoWithTheDisk) {
  const TemporaryDirectory directory;
  auto disk = open_one(directory.path());
  ASSERT_TRUE(good(disk));
  const auto file = (*disk)->create("3", 64_KiB);
  ASSERT_TRUE(good(file));
  struct stat seen {};
  ASSERT_EQ(::stat((*disk)->describe(*file).c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 07777, 0600u);
  EXPECT_EQ(seen.st_uid, ::geteuid());
  const auto name = SpillFileName::parse(fs::path((*disk)->describe(*file)).filename().string());
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->user, ::geteuid());
  EXPECT_EQ(name->process, static_cast<std::uint64_t>(::getpid()));
  EXPECT_EQ(name->number, 3u);
  EXPECT_TRUE(fails((*disk)->create("3", 64_KiB), Code::exists));
  disk->reset();
  EXPECT_TRUE(directory.files().empty());
}

TEST(UringDiskTest, ANameIsParsedOnlyAsItIsWritten) {
  const SpillFileName name{1000, 22, 333, 4};
  EXPECT_EQ(name.text(), "holdfast-1000-22-333-4.spill");
  ASSERT_TRUE(SpillFileName::parse(name.text()).has_value());
  EXPECT_EQ(SpillFileName::parse(name.text())->started, 333u);
  for (const std::string_view other :
       {"", "holdfast-", "holdfast-1000-22-333.spill", "holdfast-1000-22-333-4-5.spill",
        "holdfast-1000-22-333-4.spill~", "holdfast-1000-22-333-04.spill", "holdfast-1000--22-333-4.spill",
        "holdfast-1000-22-333-4.spil", "Holdfast-1000-22-333-4.spill", "holdfast-1000_22-333-4.spill",
        "holdfast-+1000-22-333-4.spill", "holdfast-99999999999999999999-22-333-4.spill",
        "holdfast-1000-22-333-.spill", "holdfast-.spill"})
    EXPECT_FALSE(SpillFileName::parse(other).has_value()) << other;
}

// --- what others have left, and what they have not

TEST(UringDiskTest, WhatACrashedProcessLeftIsRemoved) {
  const TemporaryDirectory directory;
  // The child dies by the signal with files open, so it must not be asked for an exit status.
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto rig = real_rig({directory.path()}, small_segments());
    if (rig && rig->write(pattern(3'000'000, 1)) && rig->write(pattern(100, 2)))
      (void)::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  ::close(ready[1]);
  char letter = 0;
  ASSERT_EQ(::read(ready[0], &letter, 1), 1);
  ::close(ready[0]);
  {
    // It lives: another process in the same directory touches nothing of it.
    auto disk = open_one(directory.path());
    ASSERT_TRUE(good(disk));
    EXPECT_EQ(static_cast<UringDisk&>(**disk).leftovers().files, 0u);
    EXPECT_EQ(directory.files().size(), 2u);
  }
  ::kill(child, SIGKILL);
  siginfo_t ended{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT),
            0);  // dead, and not waited for
  auto disk = open_one(directory.path());
  ASSERT_TRUE(good(disk));
  EXPECT_EQ(static_cast<UringDisk&>(**disk).leftovers().files, 2u);
  EXPECT_GE(static_cast<UringDisk&>(**disk).leftovers().bytes, 3'000'000u);
  EXPECT_TRUE(directory.files().empty());
  ::waitpid(child, nullptr, 0);
}

TEST(UringDiskTest, NobodyElsesFileIsTouched) {
  const TemporaryDirectory directory, elsewhere;
  const std::uint64_t user = ::geteuid();
  const auto in = [&](const std::string& name) { return directory.path() + "/" + name; };
  // Looks like a leftover, and is one; so the others are looked at, too.
  make_file(in(name_of(user, kNoProcess, 1, 0)));
  std::vector<std::string> kept;
  const auto keep = [&](const std::string& name) { return in(kept.emplace_back(name)); };
  make_file(keep("holdfast.spill"));
  make_file(keep("notes-" + name_of(user, kNoProcess, 1, 1)));
  make_file(keep(name_of(user, kNoProcess, 1, 1) + ".old"));
  make_file(keep(name_of(user + 1, kNoProcess, 1, 2)));  // another user's, as the name says
  make_file(elsewhere.path() + "/target");
  fs::create_symlink(elsewhere.path() + "/target", keep(name_of(user, kNoProcess, 1, 3)));
  fs::create_directory(keep(name_of(user, kNoProcess, 1, 4)));
  ASSERT_EQ(::mkfifo(keep(name_of(user, kNoProcess, 1, 5)).c_str(), 0600), 0);
  // A process that cannot be seen from here, in another container say, holds its lock.
  make_file(keep(name_of(user, kNoProcess, 1, 6)));
  const File locked(::open(in(kept.back()).c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(locked.get(), LOCK_EX | LOCK_NB), 0);
  if (user == 0) {  // another user's, whatever the name says
    make_file(keep(name_of(user, kNoProcess, 1, 7)));
    ASSERT_EQ(::chown(in(kept.back()).c_str(), 65534, 65534), 0);
  }
  {
    auto disk = open_one(directory.path());
    ASSERT_TRUE(good(disk));
    EXPECT_EQ(static_cast<UringDisk&>(**disk).leftovers().files, 1u);
  }
  std::ranges::sort(kept);
  EXPECT_EQ(directory.files(), kept);
  EXPECT_TRUE(fs::exists(elsewhere.path() + "/target"));
}

TEST(UringDiskTest, AFileOfAnEarlierProcessWithThisIdIsALeftover) {
  const TemporaryDirectory directory;
  make_file(directory.path() + "/" + name_of(::geteuid(), static_cast<std::uint64_t>(::getpid()), 1, 0));
  auto disk = open_one(directory.path());
  ASSERT_TRUE(good(disk));
  EXPECT_TRUE(directory.files().empty());
}

/// Its process cannot be seen from here, nor its lock where locks are each host's own.
TEST(UringDiskTest, FilesOfAnotherHostAreLeftAlone) {
  const TemporaryDirectory directory;
  const SpillFileName name{::geteuid(), kNoProcess, 1, 0, 0xabc};
  EXPECT_EQ(SpillFileName::parse(name.text()).value_or(SpillFileName()).host, 0xabcU);
  make_file(directory.path() + "/" + name.text());
  auto disk = open_one(directory.path());
  ASSERT_TRUE(good(disk));
  EXPECT_EQ(static_cast<UringDisk&>(**disk).leftovers().elsewhere, 1U);
  EXPECT_EQ(directory.files(), std::vector<std::string>{name.text()});
  const auto own = (*disk)->create("1", 64_KiB);
  ASSERT_TRUE(good(own));
  const std::string path = (*disk)->describe(*own);
  EXPECT_NE(SpillFileName::parse(fs::path(path).filename().string()).value_or(SpillFileName()).host, 0U);
}

TEST(UringDiskTest, TwoProcessesAndTwoStoresShareADirectory) {
  const TemporaryDirectory directory;
  auto first = real_rig({directory.path()}, small_segments()),
       second = real_rig({directory.path()}, small_segments());
  ASSERT_TRUE(good(first) && good(second));
  const auto a = first->write(pattern(2'000'000, 1)), b = second->write(pattern(2'000'000, 2));
  ASSERT_TRUE(good(a) && good(b));
  const std::string said = in_child([&]() -> std::string {
    auto third = real_rig({directory.path()}, small_segments());
    if (!third) return third.error().message();
    const auto c = third->write(pattern(2'000'000, 3));
    if (!c) return c.error().message();
    const bool right = bool(third->holds(*c, 2'000'000, 3));
    third->files.reset();
    return right ? "" : "other bytes";
  });
  EXPECT_EQ(said, "");
  EXPECT_TRUE(first->holds(*a, 2'000'000, 1));
  EXPECT_TRUE(second->holds(*b, 2'000'000, 2));
  EXPECT_EQ(directory.files().size(), 2u);
}

}  // namespace
}  // namespace holdfast::test
