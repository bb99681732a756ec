// Disks that are full, read-only, removed or cut off under a store that spills to them. A process of its own
// each, in a mount namespace of its own where it needs a small disk.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "tests/core/ranks.h"
#include "tests/core/temporary_directory.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSize = 2_MiB;
constexpr std::uint64_t kSmall = 256_KiB;

/// A memory file system on `path`, seen by this process only. Why not, if not; the process has one thread
/// yet.
std::string mount_disk(const std::string& path, unsigned long flags, std::uint64_t bytes) {
  if (::unshare(CLONE_NEWNS) != 0)
    return std::string("no mount namespace of its own: ") + std::strerror(errno);
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::string("no private mounts: ") + std::strerror(errno);
  const std::string options = "size=" + std::to_string(bytes);
  if (::mount("tmpfs", path.c_str(), "tmpfs", flags, options.c_str()) != 0)
    return std::string("no tmpfs: ") + std::strerror(errno);
  return "";
}

std::string spill_directory() { return getenv("HOLDFAST_SPILL"); }

PutOptions patience(Duration timeout) {
  PutOptions options;
  options.timeout = timeout;
  return options;
}

/// Puts until there is no room; the error. What was put is kept by `refs`, by the seeds 0, 1, 2, ...
Error fill(Store& store, std::vector<ObjectRef>& refs) {
  for (;;) {
    auto ref = store.put(pattern(kSize, refs.size()), patience(refs.size() < 20 ? kLong : 2s));
    if (!ref) return ref.error();
    refs.push_back(std::move(*ref));
    if (refs.size() > 1000) {
      ADD_FAILURE() << "it all fits";
      return {};
    }
  }
}

void look_at_all(Store& store, const std::vector<ObjectRef>& refs) {
  for (std::uint64_t i = 0; i < refs.size(); ++i) {
    const auto pin = store.get(refs[i], kLong);
    ASSERT_TRUE(good(pin)) << i;
    ASSERT_TRUE(is_pattern(pin->bytes(), i)) << i;
  }
}

bool nothing_is_left(Store& store) {
  return comes_true([&] {
    const Stats stats = store.stats();
    return stats.objects == 0 && stats.on_disk == 0 && stats.spilling == 0 &&
           stats.spill_directories.front().bytes_live == 0;
  });
}

class MembersDiskTest : public ::testing::Test {
 protected:
  /// Runs the scenario as a job of one; it says why where it cannot.
  void run(const char* scenario) {
    Ranks ranks(scenario, {.size = 1,
                           .variables = {{"HOLDFAST_ARENA", "32MiB"},
                                         {"HOLDFAST_SPILL", directory_.path()},
                                         {"HOLDFAST_COLLECT", "eager"},
                                         {"HOLDFAST_LOG", "off"}}});
    const std::string said = ranks[0].hear();
    EXPECT_TRUE(ranks.all_good());
    if (said != "done") GTEST_SKIP() << said;
  }
  TemporaryDirectory directory_;
};

const Scenario kFull("disk_full", [](Line& test) {
  if (const std::string why = mount_disk(spill_directory(), 0, 64_MiB); !why.empty()) return test.say(why);
  {
    Store store = join();
    std::vector<ObjectRef> refs;
    const Error error = fill(store, refs);
    EXPECT_EQ(error.code, Code::full) << error.message();
    EXPECT_NE(error.message().find(spill_directory()), std::string::npos) << error.message();
    EXPECT_GT(refs.size() * kSize, 64_MiB) << "most of the disk and of the arena are used";
    look_at_all(store, refs);
    // Smaller ones find room there until it has none for them, either.
    std::vector<ObjectRef> small;
    EXPECT_TRUE(comes_true([&] {
      auto ref = store.put(pattern(kSmall, 0), patience(1ms));
      if (ref) small.push_back(std::move(*ref));
      return !store.stats().spill_directories.front().failed.empty();
    }));
    small.clear();
    refs.clear();
    EXPECT_TRUE(nothing_is_left(store));
    // There is room in memory, whatever the disk is like.
    refs.push_back(store.put(pattern(kSize, 0), patience(kLong)).value());
    look_at_all(store, refs);
  }
  EXPECT_TRUE(fs::is_empty(spill_directory()));
  test.say("done");
});
TEST_F(MembersDiskTest, AFullDiskMakesPutsFullAndLosesNothing) { run("disk_full"); }

const Scenario kReadOnly("disk_read_only", [](Line& test) {
  if (const std::string why = mount_disk(spill_directory(), MS_RDONLY, 1_MiB); !why.empty())
    return test.say(why);
  EXPECT_TRUE(fails(Store::open(), Code::denied, spill_directory()));
  test.say("done");
});
TEST_F(MembersDiskTest, ADirectoryThatCannotBeWrittenIsAnErrorAtOpen) { run("disk_read_only"); }

const Scenario kRemoved("disk_removed", [](Line& test) {
  Store store = join();
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 32; ++i) refs.push_back(store.put(pattern(kSize, i)).value());
  EXPECT_GT(store.stats().on_disk, 0U);
  fs::remove_all(spill_directory());
  // What is open stays; a new file cannot be made.
  const Error error = fill(store, refs);
  EXPECT_EQ(error.code, Code::full) << error.message();
  EXPECT_NE(error.message().find(spill_directory()), std::string::npos) << error.message();
  look_at_all(store, refs);
  refs.clear();
  EXPECT_TRUE(nothing_is_left(store));
  test.say("done");
});
TEST_F(MembersDiskTest, ADirectoryRemovedMeanwhileLosesNothing) { run("disk_removed"); }

const Scenario kCut("disk_cut", [](Line& test) {
  Store store = join();
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 32; ++i) refs.push_back(store.put(pattern(kSize, i)).value());
  ASSERT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
  for (const auto& file : fs::directory_iterator(spill_directory()))
    ASSERT_EQ(::truncate(file.path().c_str(), static_cast<off_t>(4_MiB)), 0);
  std::uint64_t lost = 0;
  for (std::uint64_t i = 0; i < refs.size(); ++i) {
    const auto pin = store.get(refs[i], kLong);
    if (pin) {
      EXPECT_TRUE(is_pattern(pin->bytes(), i)) << i;
    } else {
      EXPECT_TRUE(fails(pin, Code::corrupt, spill_directory())) << i;
      ++lost;
    }
  }
  EXPECT_GT(lost, 0U);
  EXPECT_LT(lost, refs.size());
  refs.clear();
  EXPECT_TRUE(nothing_is_left(store));
  test.say("done");
});
TEST_F(MembersDiskTest, ATruncatedFileIsCorruptAndNamedAndTheRestStays) { run("disk_cut"); }

}  // namespace
}  // namespace holdfast::test
