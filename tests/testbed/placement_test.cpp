// Objects lie on the NUMA node that was asked for: asked from the kernel page by page, not from our own
// books. Needs a machine with several nodes; ci/testbed/vm is one.
#include <linux/mempolicy.h>
#include <sys/mman.h>

#include <cstring>

#include "tests/core/store_fixture.h"
#include "tests/core/temporary_directory.h"
#include "tests/testbed/kernel.h"

namespace holdfast::test {
namespace {

using Where = std::map<int, std::size_t>;

class PlacementTest : public StoreTest {
 protected:
  void SetUp() override {
    if (nodes_with_memory().size() < 2) GTEST_SKIP() << "this machine has one NUMA node with memory";
  }

  static StoreOptions on_all_nodes(std::uint64_t bytes_a_node = 32_MiB) {
    StoreOptions options = small_options();
    options.arena.bytes = bytes_a_node * nodes_with_memory().size();
    return options;
  }

  /// Puts an object, keeps it, and looks where its pages are.
  Where where(Store& store, std::uint64_t size, const PutOptions& options = {}) {
    const auto ref = store.put(pattern(size, 1), options);
    EXPECT_TRUE(good(ref));
    if (!ref) return {};
    kept_.push_back(*ref);
    const auto pin = store.get(*ref, kLong);
    EXPECT_TRUE(good(pin));
    return pin ? pages_by_node(pin->bytes()) : Where();
  }
  static bool all_on(const Where& pages, std::uint32_t node) {
    return pages.size() == 1 && pages.begin()->first == static_cast<int>(node);
  }

  static NodeStats of_node(const Store& store, std::uint32_t node) {
    const Stats stats = store.stats();
    const auto found = std::ranges::find_if(
        stats.nodes, [node](const NodeStats& each) { return each.segment.asked == numa::NodeId{node}; });
    EXPECT_NE(found, stats.nodes.end()) << "no segment on node " << node;
    return found == stats.nodes.end() ? NodeStats() : *found;
  }

  /// Puts objects of 1 MiB until the arena is full. Each lies on the node that is nearest to `from`, by the
  /// kernel's distances, of those that have room, and a node is passed over only once it has none.
  void fill(Store& store, const PutOptions& options, std::uint32_t from) {
    const auto nodes = nodes_with_memory();
    std::set<std::uint32_t> full;
    const std::uint32_t first = nearest_node(from, full).value();
    std::optional<std::uint32_t> expected = first;
    std::uint64_t elsewhere = 0, block = 0;  // what an object takes, its header and rounding included
    for (;;) {
      const NodeStats before = of_node(store, *expected);
      const auto ref = store.put(pattern(1_MiB, 2), options);
      if (!ref) {
        EXPECT_TRUE(fails(ref, Code::full));
        break;
      }
      kept_.push_back(*ref);  // what nothing keeps would make room
      const auto pin = store.get(*ref, kLong);
      ASSERT_TRUE(good(pin));
      const Where pages = pages_by_node(pin->bytes());
      if (block == 0) {
        block = of_node(store, *expected).bytes_used - before.bytes_used;
        ASSERT_GE(block, 1_MiB) << "the first one lies on node " << *expected;
      }
      if (!all_on(pages, *expected)) {  // full: from now on the next nearest
        EXPECT_LT(before.bytes_free, block) << "node " << *expected << " had room, but the object lies on "
                                            << ::testing::PrintToString(pages);
        full.insert(*expected);
        expected = nearest_node(from, full);
        ASSERT_TRUE(expected.has_value());
      }
      EXPECT_TRUE(all_on(pages, *expected))
          << "from node " << from << ", expected " << *expected << ": " << ::testing::PrintToString(pages);
      if (*expected != first) ++elsewhere;
      EXPECT_EQ(store.stats().placed_elsewhere, elsewhere);
    }
    EXPECT_EQ(full.size() + 1, nodes.size()) << "every node has been used";
    for (const std::uint32_t node : nodes) EXPECT_LT(of_node(store, node).bytes_free, block) << node;
  }

  std::vector<ObjectRef> kept_;
};

TEST_F(PlacementTest, AnObjectLiesOnTheNodeThatWasAskedFor) {
  Store store = open(on_all_nodes());
  for (int round = 0; round < 2; ++round) {
    for (const std::uint32_t node : nodes_with_memory()) {
      for (const std::uint64_t size : {std::uint64_t{100}, 64_KiB, 3_MiB}) {
        const PutOptions options{.node = numa::NodeId{node}};
        const Where pages = where(store, size, options);
        EXPECT_TRUE(all_on(pages, node))
            << "node " << node << ", " << size << ": " << ::testing::PrintToString(pages);
      }
    }
  }
  EXPECT_EQ(store.stats().placed_elsewhere, 0U);
}

TEST_F(PlacementTest, InterleavedObjectsLieOnTheNodesInTurn) {
  StoreOptions options = on_all_nodes();
  options.placement = Placement::interleave;
  Store store = open(options);
  std::map<int, int> objects;
  const auto nodes = nodes_with_memory();
  for (std::size_t i = 0; i < 3 * nodes.size(); ++i) {
    const Where pages = where(store, 1_MiB);
    ASSERT_EQ(pages.size(), 1U) << "an object lies on one node: " << ::testing::PrintToString(pages);
    ++objects[pages.begin()->first];
  }
  EXPECT_EQ(objects.size(), nodes.size());
  for (const auto& [node, count] : objects) EXPECT_EQ(count, 3) << "node " << node;
  EXPECT_TRUE(all_on(where(store, 1_MiB, {.node = numa::NodeId{nodes[0]}}), nodes[0])) << "a put may choose";
  EXPECT_EQ(store.stats().placed_elsewhere, 0U);
}

TEST_F(PlacementTest, ADraftLiesOnTheNodeThatWasAskedForBeforeItIsWritten) {
  Store store = open(on_all_nodes());
  for (const std::uint32_t node : nodes_with_memory()) {
    auto draft = store.draft(2_MiB, {.node = numa::NodeId{node}});
    ASSERT_TRUE(good(draft));
    fill_pattern(draft->bytes(), 1);
    EXPECT_TRUE(all_on(pages_by_node(draft->bytes()), node)) << node;
  }
}

TEST_F(PlacementTest, ByDefaultItIsTheNodeOfThePuttingThread) {
  Store store = open(on_all_nodes());
  std::size_t looked = 0;
  for (const std::uint32_t node : nodes_online()) {
    for (const std::uint32_t cpu : cpus_of(node)) {
      const OnCpu pinned(cpu);
      if (!pinned.works()) continue;
      ++looked;
      const Where pages = where(store, 1_MiB);
      const auto nearest = nearest_node(node, {});
      ASSERT_TRUE(nearest.has_value());
      EXPECT_TRUE(all_on(pages, *nearest))
          << "processor " << cpu << " of node " << node << ": " << ::testing::PrintToString(pages);
    }
  }
  EXPECT_GE(looked, 2U);
  EXPECT_EQ(store.stats().placed_elsewhere, 0U)
      << "a thread whose node has no memory is given what is nearest";
}

TEST_F(PlacementTest, AFullNodeGivesWayToTheNearestWithRoomAndSaysSo) {
  for (const std::uint32_t asked : nodes_with_memory()) {
    Store store = open(on_all_nodes(8_MiB));
    PutOptions options = no_wait();
    options.node = numa::NodeId{asked};
    fill(store, options, asked);
  }
}

TEST_F(PlacementTest, AThreadOfANodeWithoutMemoryFillsWhatIsNearestFirst) {
  bool found = false;
  const auto usable = nodes_with_memory();
  for (const std::uint32_t node : nodes_online()) {
    const auto cpus = cpus_of(node);
    if (cpus.empty() || std::ranges::find(usable, node) != usable.end()) continue;
    found = true;
    Store store = open(on_all_nodes(8_MiB));
    const OnCpu pinned(cpus.front());
    ASSERT_TRUE(pinned.works());
    fill(store, no_wait(), node);
  }
  if (!found) GTEST_SKIP() << "every node of this machine that has processors has memory";
}

TEST_F(PlacementTest, WhatIsEvictedAndSpilledIsCountedByNode) {
  const auto nodes = nodes_with_memory();
  const TemporaryDirectory directory;
  StoreOptions options = on_all_nodes(8_MiB);
  options.lifetime.spill.directories = {directory.path()};
  Store store = open(options);
  const auto of = [&](std::uint32_t node) { return of_node(store, node); };
  // Nothing keeps these: those on the node that is asked for make room, though others are older.
  for (const std::uint32_t node : nodes)
    while (of(node).bytes_free > 2_MiB)
      ASSERT_TRUE(good(store.put(pattern(1_MiB, 1), {.node = numa::NodeId{node}})));
  EXPECT_EQ(store.stats().evictions, 0U);
  const std::uint32_t wanted = nodes.back();
  const auto more = store.put(pattern(3_MiB, 2), {.node = numa::NodeId{wanted}});
  ASSERT_TRUE(good(more));
  EXPECT_GT(of(wanted).evictions, 0U);
  EXPECT_EQ(of(wanted).evictions, store.stats().evictions);
  EXPECT_EQ(store.stats().placed_elsewhere, 0U);

  // Kept ones are written from where they lie, and come back.
  std::uint64_t number = 0;
  while (kept_.size() < 20 * nodes.size()) {
    const auto ref = store.put(pattern(1_MiB, number), {.node = numa::NodeId{nodes[number % nodes.size()]}});
    ASSERT_TRUE(good(ref));
    kept_.push_back(*ref);
    ++number;
  }
  for (std::uint64_t i = 0; i < number; ++i) {
    const auto pin = store.get(kept_[i], kLong);
    ASSERT_TRUE(good(pin));
    ASSERT_TRUE(is_pattern(pin->bytes(), i));
  }
  const Stats stats = store.stats();
  std::uint64_t spills = 0, restores = 0, evictions = 0;
  for (const NodeStats& node : stats.nodes) {
    EXPECT_GT(node.spills, 0U) << node.segment.asked.value;
    spills += node.spills;
    restores += node.restores;
    evictions += node.evictions;
  }
  EXPECT_GT(restores, 0U);
  EXPECT_EQ(spills, stats.spills);
  EXPECT_EQ(restores, stats.restores);
  EXPECT_EQ(evictions, stats.evictions);
}

/// Takes the memory of a node until little is left, and gives it back at the end.
class Glutton {
 public:
  Glutton(std::uint32_t node, std::uint64_t leave) {
    const std::uint64_t left = available(node);
    if (left <= leave) return;
    bytes_ = left - leave;
    memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) return;
    const unsigned long mask = 1UL << node;
    if (::syscall(SYS_mbind, memory_, bytes_, MPOL_BIND, &mask, sizeof mask * 8, 0U) != 0) return;
    std::memset(memory_, 1, bytes_);
    full_ = true;
  }
  ~Glutton() {
    if (memory_ != MAP_FAILED) ::munmap(memory_, bytes_);
  }
  Glutton(const Glutton&) = delete;
  Glutton& operator=(const Glutton&) = delete;
  bool full() const noexcept { return full_; }

  /// Free bytes of a node, by the kernel.
  static std::uint64_t available(std::uint32_t node) {
    std::ifstream in(node_path(node) + "/meminfo");
    for (std::string word; in >> word;)
      if (std::uint64_t kib = 0; word == "MemFree:" && in >> kib) return kib * 1024;
    return 0;
  }

 private:
  void* memory_ = MAP_FAILED;
  std::uint64_t bytes_ = 0;
  bool full_ = false;
};

TEST_F(PlacementTest, WhatDoesNotFitOntoANodeLiesOnOthersAndNobodyIsKilled) {
  if (getenv("IN_TESTBED_VM") == nullptr)
    GTEST_SKIP() << "only a throw-away machine's memory may be eaten up";
  constexpr std::uint64_t kSegment = 128_MiB, kLeft = 64_MiB;
  const std::uint32_t poor = nodes_with_memory().back();
  const Glutton glutton(poor, kLeft);
  ASSERT_TRUE(glutton.full());
  Store store = open(on_all_nodes(kSegment));
  for (const NodeStats& node : store.stats().nodes) {
    const bool is_poor = node.segment.asked.value == poor;
    EXPECT_EQ(node.segment.bound, !is_poor) << node.segment.note;
    EXPECT_EQ(node.segment.note.find("smaller arena") != std::string::npos, is_poor) << node.segment.note;
  }
  Where pages;
  PutOptions options = no_wait();
  options.node = numa::NodeId{poor};
  for (std::uint64_t put = 0; put < kSegment / 1_MiB - 8; ++put) {
    const auto ref = store.put(pattern(1_MiB, put), options);
    ASSERT_TRUE(good(ref)) << put;
    kept_.push_back(*ref);
    const auto pin = store.get(*ref, kLong);
    ASSERT_TRUE(good(pin)) << put;
    ASSERT_TRUE(is_pattern(pin->bytes(), put)) << put;
    for (const auto& [node, count] : pages_by_node(pin->bytes())) pages[node] += count;
  }
  EXPECT_EQ(store.stats().placed_elsewhere, 0U) << "the segment has room";
  const std::uint32_t nearest = nearest_node(poor, {poor}).value();
  EXPECT_GT(pages[static_cast<int>(poor)], 0U) << ::testing::PrintToString(pages);
  EXPECT_GT(pages[static_cast<int>(nearest)], 0U) << ::testing::PrintToString(pages);
  EXPECT_EQ(pages.size(), 2U) << "what node " << poor << " has not is on node " << nearest << ": "
                              << ::testing::PrintToString(pages);
}

TEST_F(PlacementTest, WhatDoesNotFitAnyMoreAfterOpenLiesElsewhereAndIsSaid) {
  if (std::getenv("IN_TESTBED_VM") == nullptr)
    GTEST_SKIP() << "only a throw-away machine's memory may be eaten up";
  constexpr std::uint64_t kSegment = 128_MiB, kLeft = 64_MiB;
  const std::uint32_t poor = nodes_with_memory().back();
  Store store = open(on_all_nodes(kSegment));
  EXPECT_TRUE(of_node(store, poor).segment.bound) << of_node(store, poor).segment.note;
  const Glutton glutton(poor, kLeft);  // another rank, for instance, which has found as much room
  ASSERT_TRUE(glutton.full());
  PutOptions options = no_wait();
  options.node = numa::NodeId{poor};
  Where pages;
  for (std::uint64_t put = 0; put < kSegment / 1_MiB - 8; ++put) {
    const auto ref = store.put(pattern(1_MiB, put), options);
    ASSERT_TRUE(good(ref)) << put;
    kept_.push_back(*ref);
    const auto pin = store.get(*ref, kLong);
    ASSERT_TRUE(good(pin) && is_pattern(pin->bytes(), put)) << put;
    for (const auto& [node, count] : pages_by_node(pin->bytes())) pages[node] += count;
  }
  const std::uint32_t nearest = nearest_node(poor, {poor}).value();
  EXPECT_GT(pages[static_cast<int>(nearest)], 0U) << ::testing::PrintToString(pages);
  EXPECT_EQ(pages.size(), 2U) << "on node " << poor << " and the nearest, " << nearest << ": "
                              << ::testing::PrintToString(pages);
  const numa::SegmentReport report = of_node(store, poor).segment;
  EXPECT_FALSE(report.bound);
  EXPECT_NE(report.note.find("lie on other nodes"), std::string::npos) << report.note;
}

TEST_F(PlacementTest, AnArenaOnSomeNodesLiesOnThese) {
  for (const std::uint32_t node : nodes_with_memory()) {
    StoreOptions options = small_options();
    options.arena.bytes = 16_MiB;
    options.arena.nodes = {numa::NodeId{node}};
    Store store = open(options);
    EXPECT_TRUE(all_on(where(store, 4_MiB), node)) << node;
    const Stats stats = store.stats();
    ASSERT_EQ(stats.nodes.size(), 1U);
    EXPECT_EQ(stats.nodes.front().segment.asked, numa::NodeId{node});
    EXPECT_TRUE(stats.nodes.front().segment.bound) << stats.nodes.front().segment.note;
    for (const std::uint32_t other : nodes_with_memory()) {
      if (other == node) continue;
      EXPECT_TRUE(fails(store.put(pattern(10, 1), {.node = numa::NodeId{other}}), Code::invalid));
    }
  }
}

TEST_F(PlacementTest, PrefaultingTouchesPagesOnTheirNode) {
  StoreOptions options = on_all_nodes();
  options.arena.prefault = numa::ArenaOptions::Prefault::background;
  Store store = open(options);
  ASSERT_TRUE(comes_true([&] {
    for (const NodeStats& node : store.stats().nodes)
      if (node.segment.bytes_prefaulted < node.segment.bytes) return false;
    return true;
  }));
  for (const std::uint32_t node : nodes_with_memory()) {
    auto draft = store.draft(8_MiB, {.node = numa::NodeId{node}});  // not written: prefaulted already
    ASSERT_TRUE(good(draft));
    EXPECT_TRUE(all_on(pages_by_node(draft->bytes()), node)) << node;
  }
}

TEST_F(PlacementTest, ANodeWithoutMemoryIsRefused) {
  bool found = false;
  Store store = open(on_all_nodes());
  const auto usable = nodes_with_memory();
  for (const std::uint32_t node : nodes_online()) {
    if (std::ranges::find(usable, node) != usable.end()) continue;
    found = true;
    EXPECT_TRUE(fails(store.put(pattern(10, 1), {.node = numa::NodeId{node}}), Code::invalid,
                      "node " + std::to_string(node)));
    StoreOptions options = small_options();
    options.arena.nodes = {numa::NodeId{node}};
    EXPECT_TRUE(fails(Store::open(options), Code::invalid, "node " + std::to_string(node)));
  }
  if (!found) GTEST_SKIP() << "every node of this machine has memory";
}

}  // namespace
}  // namespace holdfast::test
