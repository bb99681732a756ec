// Arenas on huge pages, and what is said where there are none. Pages are reserved for the time of a test
// where this process may do that; elsewhere the test says why it was skipped.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>

#include "fake_system.h"
#include "forbidden.h"
#include "holdfast/base/units.h"
#include "holdfast/numa/arena.h"
#include "holdfast/numa/system_files.h"
#include "numa/src/segment_memory.h"

namespace holdfast::numa {
namespace {

HugePages pool_2m(NodeId node) {
  for (const HugePages& pages : SystemFiles().huge_pages(node)) {
    if (pages.page_bytes == 2_MiB) return pages;
  }
  return {};
}

/// Makes `wanted` pages of 2 MiB free on node 0, and gives them back.
class ReservedPages {
 public:
  explicit ReservedPages(std::uint64_t wanted) : before_(pool_2m(NodeId{0}).total) {
    const HugePages pool = pool_2m(NodeId{0});
    if (pool.free >= wanted) return;
    set(pool.total + wanted - pool.free);
    changed_ = true;
  }
  ~ReservedPages() {
    if (changed_) set(before_);
  }
  ReservedPages(const ReservedPages&) = delete;
  ReservedPages& operator=(const ReservedPages&) = delete;

 private:
  static void set(std::uint64_t pages) {
    std::ofstream(SystemFiles::huge_pages_path(NodeId{0}, 2_MiB)) << pages;
  }
  std::uint64_t before_;
  bool changed_ = false;
};

constexpr std::uint64_t kPages = 8;

#define NEED_HUGE_PAGES()                                                                                    \
  const ReservedPages reserved(kPages);                                                                      \
  if (pool_2m(NodeId{0}).free < kPages) {                                                                    \
    GTEST_SKIP() << "no huge pages, and this process may not reserve any; as root: echo " << kPages << " > " \
                 << SystemFiles::huge_pages_path(NodeId{0}, 2_MiB);                                          \
  }

ArenaOptions on_huge_pages(std::uint64_t bytes, PagePolicy::Demand demand) {
  ArenaOptions options;
  options.bytes = bytes;
  options.nodes = {NodeId{0}};
  options.pages = {Pages::huge_2m, demand};
  options.prefault = ArenaOptions::Prefault::none;
  return options;
}

TEST(HugePages, carry_a_segment_where_there_are_any) {
  NEED_HUGE_PAGES();
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology);
  ArenaOptions options = on_huge_pages(kPages * 2_MiB - 1, PagePolicy::Demand::require);
  options.prefault = ArenaOptions::Prefault::background;
  {
    const auto arena = Arena::create(*topology, options);
    ASSERT_TRUE(arena) << arena.error().message();
    const Segment& segment = (*arena)->segments().front();
    EXPECT_EQ(segment.bytes, kPages * 2_MiB);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(segment.base) % 2_MiB, 0U);
    (*arena)->start_prefault();
    (*arena)->wait_prefaulted();
    const SegmentReport report = (*arena)->report().front();
    EXPECT_EQ(report.pages, Pages::huge_2m);
    EXPECT_EQ(report.note, "");
    EXPECT_TRUE(report.bound);
    EXPECT_EQ(report.bytes_prefaulted, segment.bytes);
    EXPECT_LE(pool_2m(NodeId{0}).free, pool_2m(NodeId{0}).total - kPages) << "the pages are in use";

    const auto reader = ReadOnlyMapping::map(File(::dup(segment.fd)), segment.bytes - 100);
    ASSERT_TRUE(reader) << reader.error().message();
    segment.base[3_MiB] = std::byte{9};
    EXPECT_EQ(reader->base()[3_MiB], std::byte{9});
    EXPECT_EQ(allowed_in_another_process(segment.fd), "");
  }
  EXPECT_GE(pool_2m(NodeId{0}).free, kPages) << "all mappings are gone, the reader's too";
}

TEST(HugePages, are_refused_with_the_remedy_where_the_node_has_too_few) {
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology);
  const HugePages pool = pool_2m(NodeId{0});
  if (pool.page_bytes == 0) GTEST_SKIP() << "this kernel has no pages of 2 MiB";
  const auto arena =
      Arena::create(*topology, on_huge_pages((pool.free + 3) * 2_MiB, PagePolicy::Demand::require));
  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().code, Code::unsupported);
  const std::string remedy =
      "echo " + std::to_string(pool.total + 3) + " > " + SystemFiles::huge_pages_path(NodeId{0}, 2_MiB);
  EXPECT_NE(arena.error().detail.find(remedy), std::string::npos) << arena.error().detail;
}

TEST(HugePages, give_way_to_smaller_ones_with_a_note) {
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology);
  const HugePages pool = pool_2m(NodeId{0});
  if (pool.page_bytes == 0) GTEST_SKIP() << "this kernel has no pages of 2 MiB";
  const auto arena =
      Arena::create(*topology, on_huge_pages((pool.free + 3) * 2_MiB, PagePolicy::Demand::prefer));
  ASSERT_TRUE(arena) << arena.error().message();
  const SegmentReport report = (*arena)->report().front();
  const bool transparent = SystemFiles().transparent_memfd_allowed();
  EXPECT_EQ(report.pages, transparent ? Pages::transparent : Pages::base);
  EXPECT_NE(report.note.find(SystemFiles::huge_pages_path(NodeId{0}, 2_MiB)), std::string::npos)
      << report.note;
  const bool names_setting = report.note.find(SystemFiles::kTransparentMemfdPath) != std::string::npos;
  EXPECT_EQ(names_setting, !transparent) << report.note;
}

TEST(HugePages, are_no_larger_than_the_segment_unless_required) {
  NEED_HUGE_PAGES();
  const auto topology = Topology::discover();
  ASSERT_TRUE(topology);
  const auto preferred = Arena::create(*topology, on_huge_pages(1, PagePolicy::Demand::prefer));
  ASSERT_TRUE(preferred);
  EXPECT_EQ((*preferred)->report().front().pages, Pages::base);
  EXPECT_NE((*preferred)->report().front().note.find("smaller"), std::string::npos);
  const auto required = Arena::create(*topology, on_huge_pages(1, PagePolicy::Demand::require));
  ASSERT_TRUE(required) << required.error().message();
  EXPECT_EQ((*required)->bytes(), 2_MiB);
}

// The pool of the machine may be large enough while the node's is not; only the node's counts.
TEST(HugePages, are_counted_on_the_node_itself) {
  const FakeSystem system;
  system.write("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "5\n");
  system.write("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages", "1\n");
  SegmentRequest request;
  request.bytes = 7_MiB;
  request.pages = {Pages::huge_2m, PagePolicy::Demand::require};
  const auto segment = make_segment_memory(request, system.files());
  ASSERT_FALSE(segment);
  EXPECT_EQ(segment.error().code, Code::unsupported);
  EXPECT_NE(segment.error().detail.find("1 of the 4 pages"), std::string::npos) << segment.error().detail;
  EXPECT_NE(segment.error().detail.find("echo 8 > "), std::string::npos) << segment.error().detail;
}

// The kernel has the last word: what it refuses after the files promised it is reported, too.
TEST(HugePages, are_refused_when_the_kernel_cannot_reserve_them) {
  constexpr std::uint64_t kMany = 1ULL << 30;
  const FakeSystem system;
  system.write("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages",
               std::to_string(kMany));
  system.write("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages",
               std::to_string(kMany));
  SegmentRequest request;
  request.bytes = (pool_2m(NodeId{0}).free + 4096) * 2_MiB;
  request.pages = {Pages::huge_2m, PagePolicy::Demand::require};
  const auto segment = make_segment_memory(request, system.files());
  ASSERT_FALSE(segment);
  EXPECT_EQ(segment.error().code, Code::unsupported);
}

TEST(TransparentPages, are_refused_when_required_where_memfds_get_none) {
  const FakeSystem system;
  system.write(SystemFiles::kTransparentMemfdPath, "always within_size advise [never] deny force\n");
  SegmentRequest request;
  request.bytes = 4_MiB;
  request.pages = {Pages::transparent, PagePolicy::Demand::require};
  const auto segment = make_segment_memory(request, system.files());
  ASSERT_FALSE(segment);
  EXPECT_EQ(segment.error().code, Code::unsupported);
  EXPECT_NE(segment.error().detail.find("echo advise > "), std::string::npos) << segment.error().detail;
}

TEST(TransparentPages, are_taken_where_the_kernel_gives_them_to_memfds) {
  if (!SystemFiles().transparent_memfd_allowed()) {
    GTEST_SKIP() << "as root: echo advise > " << SystemFiles::kTransparentMemfdPath;
  }
  SegmentRequest request;
  request.bytes = 3_MiB;
  request.pages = {Pages::transparent, PagePolicy::Demand::require};
  const auto segment = make_segment_memory(request, SystemFiles());
  ASSERT_TRUE(segment) << segment.error().message();
  EXPECT_EQ(segment->pages, Pages::transparent);
  const Mapping& mapping = segment->memory.mapping;
  EXPECT_EQ(mapping.bytes(), 4_MiB);
  // One touch brings the whole huge page.
  mapping.base()[0] = std::byte{1};
  unsigned char present[512] = {};
  ASSERT_EQ(::mincore(mapping.base(), 2_MiB, present), 0);
  EXPECT_TRUE(std::all_of(present, present + 512, [](unsigned char page) { return (page & 1) != 0; }));
}

}  // namespace
}  // namespace holdfast::numa
