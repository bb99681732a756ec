#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "forbidden.h"
#include "holdfast/base/units.h"
#include "holdfast/numa/arena.h"
#include "holdfast/numa/topology.h"

namespace holdfast::numa {
namespace {

TEST(SharedRegion, is_zeroed_and_whole_pages) {
  const auto region = SharedRegion::create("holdfast-test", 100);
  ASSERT_TRUE(region) << region.error().message();
  EXPECT_EQ(region->bytes(), static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_TRUE(std::all_of(region->base(), region->base() + region->bytes(),
                          [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST(SharedRegion, carries_its_name_in_the_map_of_the_process) {
  const auto region = SharedRegion::create("holdfast-named", 4096);
  ASSERT_TRUE(region);
  std::ifstream maps("/proc/self/maps");
  const std::string text((std::istreambuf_iterator<char>(maps)), std::istreambuf_iterator<char>());
  EXPECT_NE(text.find("memfd:holdfast-named"), std::string::npos);
}

TEST(SharedRegion, takes_no_size_that_cannot_be) {
  EXPECT_EQ(SharedRegion::create("x", 0).error().code, Code::invalid);
  EXPECT_EQ(SharedRegion::create("x", UINT64_MAX).error().code, Code::invalid);
}

TEST(SharedRegion, shows_others_what_its_owner_writes) {
  const auto region = SharedRegion::create("holdfast-test", 8_KiB);
  ASSERT_TRUE(region);
  const auto reader = ReadOnlyMapping::map(File(::dup(region->fd())), region->bytes());
  ASSERT_TRUE(reader) << reader.error().message();
  ASSERT_NE(reader->base(), region->base());
  std::memcpy(region->base() + 5000, "seen", 5);
  EXPECT_STREQ(reinterpret_cast<const char*>(reader->base() + 5000), "seen");
}

TEST(SharedRegion, lets_no_other_process_write_or_shrink_it) {
  const auto region = SharedRegion::create("holdfast-test", 8_KiB);
  ASSERT_TRUE(region);
  EXPECT_EQ(allowed_in_another_process(region->fd()), "");
}

TEST(SharedRegion, moves_with_its_mapping) {
  auto first = SharedRegion::create("holdfast-test", 4096);
  ASSERT_TRUE(first);
  std::byte* const base = first->base();
  SharedRegion second = std::move(*first);
  EXPECT_EQ(second.base(), base);
  SharedRegion third;
  third = std::move(second);
  EXPECT_EQ(third.base(), base);
  third.base()[0] = std::byte{1};
  EXPECT_GE(third.fd(), 0);
}

TEST(ReadOnlyMapping, refuses_a_descriptor_shorter_than_its_owner_said) {
  const auto region = SharedRegion::create("holdfast-test", 4096);
  ASSERT_TRUE(region);
  const File file(::dup(region->fd()));
  const auto mapping = ReadOnlyMapping::map(file, region->bytes() + 1);
  ASSERT_FALSE(mapping);
  EXPECT_EQ(mapping.error().code, Code::invalid);
  EXPECT_EQ(ReadOnlyMapping::map(file, 0).error().code, Code::invalid);
}

TEST(ReadOnlyMapping, says_so_when_there_is_no_descriptor) {
  const auto mapping = ReadOnlyMapping::map(File(), 4096);
  ASSERT_FALSE(mapping);
  EXPECT_EQ(mapping.error().code, Code::system);
}

TEST(ReadOnlyMapping, is_as_aligned_as_what_its_owner_maps) {
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology);
  for (const std::uint64_t bytes : {64_KiB, 2_MiB, 2_MiB + 4096, 5_MiB, 1_GiB + 4096}) {
    ArenaOptions options;
    options.bytes = bytes;
    options.pages.largest = Pages::base;
    options.prefault = ArenaOptions::Prefault::none;
    options.nodes = {topology->nodes().front().id};
    const auto arena = Arena::create(*topology, options);
    ASSERT_TRUE(arena) << arena.error().message();
    const Segment& segment = (*arena)->segments().front();
    const auto aligned = bytes >= 1_GiB ? 1_GiB : bytes >= 2_MiB ? 2_MiB : 4_KiB;
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(segment.base) % aligned, 0U) << bytes;
    std::vector<ReadOnlyMapping> mappings;  // one alone may be aligned by chance
    for (int i = 0; i < 4; ++i) {
      auto mapping = ReadOnlyMapping::map(File(::dup(segment.fd)), segment.bytes);
      ASSERT_TRUE(mapping) << mapping.error().message();
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping->base()) % aligned, 0U) << bytes;
      mappings.push_back(std::move(*mapping));
    }
    segment.base[segment.bytes - 1] = std::byte{77};
    for (const ReadOnlyMapping& mapping : mappings)
      EXPECT_EQ(mapping.base()[segment.bytes - 1], std::byte{77});
  }
}

/// Bytes of addresses that this process has taken.
std::uint64_t addresses_taken() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  statm >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

TEST(ReadOnlyMapping, keeps_no_addresses_beside_it) {
  const auto region = SharedRegion::create("holdfast-test", 4_MiB);
  ASSERT_TRUE(region);
  const File file(::dup(region->fd()));
  std::vector<ReadOnlyMapping> mappings(16);
  const std::uint64_t before = addresses_taken();
  for (ReadOnlyMapping& mapping : mappings) mapping = ReadOnlyMapping::map(file, 4_MiB).value();
  EXPECT_LT(addresses_taken(), before + 16 * 4_MiB + 2_MiB);
  mappings.clear();
  EXPECT_LT(addresses_taken(), before + 2_MiB);
}

TEST(ReadOnlyMapping, outlives_the_region_it_shows) {
  ReadOnlyMapping mapping;
  {
    const auto region = SharedRegion::create("holdfast-test", 4096);
    ASSERT_TRUE(region);
    region->base()[7] = std::byte{42};
    auto mapped = ReadOnlyMapping::map(File(::dup(region->fd())), 4096);
    ASSERT_TRUE(mapped);
    mapping = std::move(*mapped);
  }
  EXPECT_EQ(mapping.base()[7], std::byte{42});
}

TEST(ReadOnlyMapping, cannot_be_made_writable) {
  const auto region = SharedRegion::create("holdfast-test", 4096);
  ASSERT_TRUE(region);
  const auto mapping = ReadOnlyMapping::map(File(::dup(region->fd())), 4096);
  ASSERT_TRUE(mapping);
  EXPECT_NE(::mprotect(const_cast<std::byte*>(mapping->base()), 4096, PROT_READ | PROT_WRITE), 0);
}

}  // namespace
}  // namespace holdfast::numa
