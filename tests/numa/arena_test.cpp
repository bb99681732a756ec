#include "holdfast/numa/arena.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "forbidden.h"
#include "holdfast/base/units.h"
#include "holdfast/numa/system_files.h"
#include "holdfast/numa/topology.h"

namespace holdfast::numa {
namespace {

const auto kPage = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));

Topology this_machine() { return Topology::discover().value(); }

Topology four_nodes() { return Topology::from_synthetic("numa:4 core:1 pu:1").value(); }

ArenaOptions small_arena(std::uint64_t bytes = 1_MiB) {
  ArenaOptions options;
  options.bytes = bytes;
  options.prefault = ArenaOptions::Prefault::none;
  options.pages.largest = Pages::base;
  return options;
}

/// The node the kernel has put a page on, or a negative errno.
int node_of_page(const std::byte* page) {
  const void* pages[] = {page};
  int status[] = {-1};
  if (::syscall(SYS_move_pages, 0, 1UL, pages, nullptr, status, 0) != 0) return -errno;
  return status[0];
}

TEST(PagePolicy, reads_what_the_documentation_names) {
  struct Case {
    std::string_view text;
    Pages largest;
    PagePolicy::Demand demand;
  };
  using enum PagePolicy::Demand;
  for (const Case& it :
       {Case{"prefer:1GiB", Pages::huge_1g, prefer}, Case{"require:2MiB", Pages::huge_2m, require},
        Case{"transparent", Pages::transparent, prefer}, Case{"base", Pages::base, prefer},
        Case{"2MiB", Pages::huge_2m, prefer}, Case{"require:transparent", Pages::transparent, require}}) {
    const auto policy = PagePolicy::parse(it.text);
    ASSERT_TRUE(policy) << it.text;
    EXPECT_EQ(policy->largest, it.largest) << it.text;
    EXPECT_EQ(policy->demand, it.demand) << it.text;
  }
}

TEST(PagePolicy, refuses_the_rest_and_shows_how_it_should_look) {
  for (const std::string_view text :
       {"", ":", "huge", "prefer:", "require", "demand:2MiB", "prefer:2MiB ", "4KiB"}) {
    const auto policy = PagePolicy::parse(text);
    ASSERT_FALSE(policy) << text;
    EXPECT_EQ(policy.error().code, Code::invalid);
    EXPECT_NE(policy.error().detail.find("require:2MiB"), std::string::npos);
  }
}

TEST(Arena, of_one_byte_is_one_page) {
  const auto arena = Arena::create(this_machine(), small_arena(1));
  ASSERT_TRUE(arena) << arena.error().message();
  EXPECT_EQ((*arena)->bytes(), kPage * (*arena)->segments().size());
  std::byte* const byte = (*arena)->at(0);
  EXPECT_EQ(*byte, std::byte{0});
  *byte = std::byte{1};
}

TEST(Arena, of_nothing_is_invalid) {
  const auto arena = Arena::create(this_machine(), small_arena(0));
  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().code, Code::invalid);
}

TEST(Arena, larger_than_the_machine_is_invalid_and_names_both_sizes) {
  const MemoryLimit limit = SystemFiles().memory_limit();
  for (const std::uint64_t bytes : {limit.bytes + 1_GiB, std::uint64_t{UINT64_MAX}}) {
    const auto arena = Arena::create(this_machine(), small_arena(bytes));
    ASSERT_FALSE(arena);
    EXPECT_EQ(arena.error().code, Code::invalid);
    EXPECT_NE(arena.error().detail.find(format_bytes(bytes)), std::string::npos) << arena.error().detail;
    EXPECT_NE(arena.error().detail.find(format_bytes(limit.bytes)), std::string::npos)
        << arena.error().detail;
  }
}

// As large as half of the machine: nothing is touched, so it costs nothing.
TEST(Arena, may_be_huge_before_it_is_touched) {
  const std::uint64_t bytes = SystemFiles().memory_limit().bytes / 2;
  const auto arena = Arena::create(this_machine(), small_arena(bytes));
  ASSERT_TRUE(arena) << arena.error().message();
  EXPECT_GE((*arena)->bytes(), bytes);
  *(*arena)->at((*arena)->bytes() - 1) = std::byte{1};
  EXPECT_EQ(*(*arena)->at(bytes / 2), std::byte{0});
}

TEST(Arena, bounds_the_number_of_prefault_threads) {
  for (const unsigned threads : {0U, 65U}) {
    ArenaOptions options = small_arena();
    options.prefault_threads = threads;
    const auto arena = Arena::create(this_machine(), options);
    ASSERT_FALSE(arena);
    EXPECT_EQ(arena.error().code, Code::invalid);
  }
}

TEST(Arena, refuses_nodes_it_cannot_lie_on) {
  const auto uneven = Topology::from_xml_file(HOLDFAST_NUMA_FIXTURES "/uneven_nodes.xml");
  ASSERT_TRUE(uneven) << uneven.error().message();
  for (const auto& nodes : {std::vector<NodeId>{NodeId{9}},                // there is none
                            std::vector<NodeId>{NodeId{0}, NodeId{5}},     // has no memory
                            std::vector<NodeId>{NodeId{0}, NodeId{0}}}) {  // twice
    ArenaOptions options = small_arena();
    options.nodes = nodes;
    const auto arena = Arena::create(*uneven, options);
    ASSERT_FALSE(arena);
    EXPECT_EQ(arena.error().code, Code::invalid);
  }
}

TEST(Arena, lies_on_all_nodes_with_memory_by_default) {
  const auto uneven = Topology::from_xml_file(HOLDFAST_NUMA_FIXTURES "/uneven_nodes.xml");
  ASSERT_TRUE(uneven);
  const auto arena = Arena::create(*uneven, small_arena());
  ASSERT_TRUE(arena) << arena.error().message();
  ASSERT_EQ((*arena)->segments().size(), 2U);
  EXPECT_EQ((*arena)->segments()[0].node, NodeId{0});
  EXPECT_EQ((*arena)->segments()[1].node, NodeId{2});
}

TEST(Arena, lays_its_segments_one_after_the_other) {
  ArenaOptions options = small_arena(10 * kPage + 1);
  options.nodes = {NodeId{3}, NodeId{0}, NodeId{2}};
  const auto arena = Arena::create(four_nodes(), options);
  ASSERT_TRUE(arena) << arena.error().message();
  const auto segments = (*arena)->segments();
  ASSERT_EQ(segments.size(), 3U);
  std::uint64_t next = 0;
  std::set<int> descriptors;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    EXPECT_EQ(segments[i].node, options.nodes[i]);
    EXPECT_EQ(segments[i].first, next);
    EXPECT_EQ(segments[i].bytes, 4 * kPage);
    EXPECT_EQ((*arena)->at(next), segments[i].base);
    EXPECT_EQ((*arena)->at(next + segments[i].bytes - 1), segments[i].base + segments[i].bytes - 1);
    descriptors.insert(segments[i].fd);
    next += segments[i].bytes;
  }
  EXPECT_EQ((*arena)->bytes(), next);
  EXPECT_EQ(descriptors.size(), 3U);
}

TEST(ArenaDeathTest, stops_at_an_offset_beyond_its_end) {
  const auto arena = Arena::create(this_machine(), small_arena());
  ASSERT_TRUE(arena);
  EXPECT_DEATH(static_cast<void>((*arena)->at((*arena)->bytes())), "within the arena");
}

TEST(Arena, binds_to_no_node_of_a_described_machine_and_says_so) {
  const auto arena = Arena::create(four_nodes(), small_arena());
  ASSERT_TRUE(arena);
  for (const SegmentReport& report : (*arena)->report()) {
    EXPECT_FALSE(report.bound);
    EXPECT_NE(report.note.find("another machine"), std::string::npos) << report.note;
  }
}

TEST(Arena, puts_pages_on_the_node_that_was_asked_for) {
  const Topology topology = this_machine();
  for (const NodeId node : topology.nearest_with_memory(topology.nodes().front().id)) {
    ArenaOptions options = small_arena(64 * kPage);
    options.nodes = {node};
    const auto arena = Arena::create(topology, options);
    ASSERT_TRUE(arena) << arena.error().message();
    const SegmentReport report = (*arena)->report().front();
    if (!report.bound) GTEST_SKIP() << report.note;
    EXPECT_EQ(report.note, "");
    std::byte* const base = (*arena)->segments().front().base;
    EXPECT_EQ(node_of_page(base), -ENOENT) << "nothing is there before the first touch";
    std::memset(base, 1, 64 * kPage);
    for (int page = 0; page < 64; ++page) {
      const int where = node_of_page(base + static_cast<std::uint64_t>(page) * kPage);
      if (where == -ENOSYS || where == -EPERM) GTEST_SKIP() << "the kernel does not tell where pages lie";
      EXPECT_EQ(where, static_cast<int>(node.value)) << "page " << page;
    }
  }
}

TEST(Arena, lets_no_other_process_write_or_shrink_it) {
  const auto arena = Arena::create(this_machine(), small_arena());
  ASSERT_TRUE(arena);
  EXPECT_EQ(allowed_in_another_process((*arena)->segments().front().fd), "");
}

TEST(Arena, shows_others_what_its_owner_writes) {
  const auto arena = Arena::create(this_machine(), small_arena());
  ASSERT_TRUE(arena);
  const Segment& segment = (*arena)->segments().front();
  const auto reader = ReadOnlyMapping::map(File(::dup(segment.fd)), segment.bytes);
  ASSERT_TRUE(reader) << reader.error().message();
  segment.base[12345] = std::byte{77};
  EXPECT_EQ(reader->base()[12345], std::byte{77});
}

TEST(Arena, prefaults_in_the_background_to_the_end) {
  ArenaOptions options = small_arena(48_MiB);
  options.prefault = ArenaOptions::Prefault::background;
  const auto arena = Arena::create(this_machine(), options);
  ASSERT_TRUE(arena);
  EXPECT_EQ((*arena)->report().front().bytes_prefaulted, 0U) << "not before it is told to";
  (*arena)->start_prefault();
  *(*arena)->at(0) = std::byte{5};
  (*arena)->wait_prefaulted();
  for (const SegmentReport& report : (*arena)->report())
    EXPECT_EQ(report.bytes_prefaulted, report.bytes) << report.note;
  EXPECT_EQ(*(*arena)->at(0), std::byte{5});
  EXPECT_GE(node_of_page((*arena)->at((*arena)->bytes() - 1)), 0);
}

TEST(Arena, may_be_destroyed_while_it_prefaults) {
  for (int i = 0; i < 5; ++i) {
    ArenaOptions options = small_arena(1_GiB);
    options.prefault = ArenaOptions::Prefault::background;
    options.prefault_threads = 4;
    const auto arena = Arena::create(this_machine(), options);
    ASSERT_TRUE(arena);
    (*arena)->start_prefault();
    *(*arena)->at(512_MiB) = std::byte{1};
  }
}

TEST(Arena, stops_prefaulting_for_good) {
  ArenaOptions options = small_arena(1_GiB);
  options.prefault = ArenaOptions::Prefault::background;
  const auto arena = Arena::create(this_machine(), options);
  ASSERT_TRUE(arena);
  const auto prefaulted = [&] {
    std::uint64_t bytes = 0;
    for (const SegmentReport& report : (*arena)->report()) bytes += report.bytes_prefaulted;
    return bytes;
  };
  (*arena)->start_prefault();
  (*arena)->stop_prefault();
  const std::uint64_t before = prefaulted();
  (*arena)->stop_prefault();
  (*arena)->start_prefault();
  (*arena)->wait_prefaulted();
  EXPECT_EQ(prefaulted(), before);

  const auto never = Arena::create(this_machine(), options);
  ASSERT_TRUE(never);
  (*never)->stop_prefault();
  (*never)->start_prefault();
  (*never)->wait_prefaulted();
  EXPECT_EQ((*never)->report().front().bytes_prefaulted, 0U);
}

TEST(Arena, reports_to_any_thread_while_it_prefaults) {
  ArenaOptions options = small_arena(64_MiB);
  options.prefault = ArenaOptions::Prefault::background;
  const auto arena = Arena::create(this_machine(), options);
  ASSERT_TRUE(arena);
  (*arena)->start_prefault();
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      std::uint64_t before = 0;
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t now = (*arena)->report().front().bytes_prefaulted;
        EXPECT_GE(now, before);
        before = now;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  (*arena)->wait_prefaulted();
}

TEST(Arena, has_nothing_to_wait_for_without_prefaulting) {
  const auto arena = Arena::create(this_machine(), small_arena());
  ASSERT_TRUE(arena);
  (*arena)->start_prefault();
  (*arena)->wait_prefaulted();
  EXPECT_EQ((*arena)->report().front().bytes_prefaulted, 0U);
}

TEST(Arena, is_aligned_so_that_aligned_offsets_are_aligned_addresses) {
  for (const std::uint64_t bytes : {2_MiB, 8_MiB, 1_GiB}) {
    ArenaOptions options = small_arena(bytes);
    options.nodes = {this_machine().nodes().front().id};
    const auto arena = Arena::create(this_machine(), options);
    ASSERT_TRUE(arena) << arena.error().message();
    const auto address = reinterpret_cast<std::uintptr_t>((*arena)->segments().front().base);
    EXPECT_EQ(address % (bytes < 1_GiB ? 2_MiB : 1_GiB), 0U);
  }
}

}  // namespace
}  // namespace holdfast::numa
