#include "numa/src/prefault.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fake_system.h"
#include "holdfast/base/file.h"
#include "holdfast/base/units.h"
#include "numa/src/sealed_memory.h"

namespace holdfast::numa {
namespace {

const auto kPage = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));

SealedMemory make_memory(std::uint64_t bytes) {
  SealedMemoryOptions options;
  options.name = "holdfast-test";
  options.bytes = bytes;
  options.alignment = kPage;
  return std::move(make_sealed_memory(options).value());
}

PrefaultPart part_of(const SealedMemory& memory) {
  PrefaultPart part;
  part.base = memory.mapping.base();
  part.bytes = memory.mapping.bytes();
  part.page_bytes = kPage;
  part.cpus = {0};
  return part;
}

std::uint64_t pages_present(const SealedMemory& memory) {
  std::vector<unsigned char> present(memory.mapping.bytes() / kPage);
  EXPECT_EQ(::mincore(memory.mapping.base(), memory.mapping.bytes(), present.data()), 0);
  return static_cast<std::uint64_t>(
      std::count_if(present.begin(), present.end(), [](unsigned char page) { return (page & 1) != 0; }));
}

/// The nice values of this process's threads of that name.
std::vector<int> nice_of_threads(std::string_view name) {
  std::vector<int> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string its_name;
    std::ifstream(task.path() / "comm") >> its_name;
    if (its_name == name)
      found.push_back(::getpriority(PRIO_PROCESS, static_cast<id_t>(std::stoi(task.path().filename()))));
  }
  return found;
}

class PrefaultBy : public testing::TestWithParam<TouchMethod> {};

TEST_P(PrefaultBy, touches_every_page_and_ends) {
  // Not a multiple of a piece.
  const SealedMemory memory = make_memory(37 * 1_MiB + kPage);
  ASSERT_EQ(pages_present(memory), 0U);
  PrefaultOptions options;
  options.method = GetParam();
  const Prefault prefault({part_of(memory)}, options, SystemFiles());
  prefault.wait();
  EXPECT_EQ(prefault.bytes_done(0), memory.mapping.bytes());
  EXPECT_EQ(prefault.note(0), "");
  EXPECT_EQ(pages_present(memory), memory.mapping.bytes() / kPage);
}

// The owner writes every byte while the pages come; none of it may be lost.
TEST_P(PrefaultBy, keeps_what_the_owner_writes_meanwhile) {
  const SealedMemory memory = make_memory(32_MiB);
  std::byte* const base = memory.mapping.base();
  PrefaultOptions options;
  options.method = GetParam();
  options.threads_per_part = 4;
  const Prefault prefault({part_of(memory)}, options, SystemFiles());
  for (std::uint64_t at = 0; at < memory.mapping.bytes(); at += kPage) {
    std::memset(base + at, static_cast<int>(at / kPage % 255 + 1), kPage);
  }
  prefault.wait();
  for (std::uint64_t at = 0; at < memory.mapping.bytes(); ++at) {
    ASSERT_EQ(base[at], static_cast<std::byte>(at / kPage % 255 + 1)) << "byte " << at;
  }
}

// The kernel's file that is read before each piece is a pipe here, so that the thread waits for this test: it
// is told to stop while it looks before the third of 128 pieces.
TEST_P(PrefaultBy, ends_with_the_piece_in_hand_when_it_is_stopped) {
  constexpr std::string_view kPlenty = "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\n";
  constexpr std::uint64_t kPiece = 512_KiB;
  const FakeSystem system;
  system.write("/proc/meminfo", "");
  const std::string looked_at = system.path("/proc/meminfo"), next = system.path("/next");
  const auto wait_at_next_look = [&] {
    ASSERT_EQ(::mkfifo(next.c_str(), 0600), 0);
    ASSERT_EQ(::rename(next.c_str(), looked_at.c_str()), 0);
  };
  wait_at_next_look();
  const SealedMemory memory = make_memory(64_MiB);
  PrefaultOptions options;
  options.method = GetParam();
  options.threads_per_part = 1;
  Prefault prefault({part_of(memory)}, options, system.files());
  for (int piece = 0; piece < 3; ++piece) {
    const File answer(::open(looked_at.c_str(), O_WRONLY | O_CLOEXEC));  // returns once the thread looks
    ASSERT_TRUE(answer);
    EXPECT_EQ(prefault.bytes_done(0), static_cast<std::uint64_t>(piece) * kPiece);
    EXPECT_EQ(nice_of_threads("hf-prefault"), std::vector{std::max(10, ::getpriority(PRIO_PROCESS, 0))});
    if (piece < 2) {
      wait_at_next_look();
    } else {
      // From here on nothing holds the thread but that it was asked.
      system.write("/next", kPlenty);
      ASSERT_EQ(::rename(next.c_str(), looked_at.c_str()), 0);
      prefault.ask_to_stop();
    }
    ASSERT_EQ(::write(answer.get(), kPlenty.data(), kPlenty.size()), static_cast<ssize_t>(kPlenty.size()));
  }
  prefault.stop();
  EXPECT_EQ(prefault.bytes_done(0), 3 * kPiece);
  EXPECT_EQ(pages_present(memory), 3 * kPiece / kPage);
  prefault.stop();
  prefault.wait();
}

INSTANTIATE_TEST_SUITE_P(Methods, PrefaultBy, testing::Values(TouchMethod::populate, TouchMethod::fetch_or),
                         [](const auto& method) {
                           return method.param == TouchMethod::populate ? "populate" : "fetch_or";
                         });

TEST(Prefault, stops_before_memory_runs_short_and_says_so) {
  const FakeSystem system;
  system.write("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 102400 kB\n");
  const SealedMemory memory = make_memory(64_MiB);
  PrefaultOptions options;
  options.keep_free_bytes = 100_MiB;
  const Prefault prefault({part_of(memory)}, options, system.files());
  prefault.wait();
  EXPECT_EQ(prefault.bytes_done(0), 0U);
  EXPECT_EQ(pages_present(memory), 0U);
  EXPECT_NE(prefault.note(0).find("100 MiB"), std::string::npos) << prefault.note(0);
}

TEST(Prefault, watches_each_node_by_itself) {
  const FakeSystem system;
  system.write("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\n");
  system.write("/sys/devices/system/node/node0/meminfo", "Node 0 MemFree: 4194304 kB\n");
  system.write("/sys/devices/system/node/node1/meminfo", "Node 1 MemFree: 256 kB\n");
  const SealedMemory roomy = make_memory(16_MiB), tight = make_memory(16_MiB);
  PrefaultPart second = part_of(tight);
  second.node = NodeId{1};
  const Prefault prefault({part_of(roomy), second}, PrefaultOptions{}, system.files());
  prefault.wait();
  EXPECT_EQ(prefault.bytes_done(0), 16_MiB);
  EXPECT_EQ(prefault.note(0), "");
  EXPECT_EQ(prefault.bytes_done(1), 0U);
  EXPECT_NE(prefault.note(1).find("node 1"), std::string::npos) << prefault.note(1);
}

TEST(Prefault, goes_by_reserved_pages_whatever_is_free) {
  const FakeSystem system;
  system.write("/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 0 kB\n");
  const SealedMemory memory = make_memory(16_MiB);
  PrefaultPart part = part_of(memory);
  part.supply = PrefaultPart::Supply::reserved;
  const Prefault prefault({part}, PrefaultOptions{}, system.files());
  prefault.wait();
  EXPECT_EQ(prefault.bytes_done(0), 16_MiB);
}

}  // namespace
}  // namespace holdfast::numa
