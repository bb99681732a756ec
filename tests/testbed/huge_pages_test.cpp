// Huge pages as the kernel gives them, node by node. What is expected follows from the pools that this
// machine has when the test starts; ci/testbed/vm makes machines with enough, too few and none.
#include <cstdlib>

#include "tests/core/store_fixture.h"
#include "tests/testbed/kernel.h"

namespace holdfast::test {
namespace {

struct Size {
  numa::Pages pages;
  std::uint64_t bytes;
  const char* text;
};

class HugePagesTest : public StoreTest, public ::testing::WithParamInterface<Size> {
 protected:
  static constexpr std::uint64_t kPagesANode = 4;

  /// Each node gets pages for four objects of 2 MiB, or one page of 1 GiB.
  static std::uint64_t pages_a_node() { return GetParam().bytes == 2_MiB ? kPagesANode : 1; }

  static StoreOptions with(numa::PagePolicy::Demand demand) {
    StoreOptions options = small_options();
    options.arena.bytes = pages_a_node() * GetParam().bytes * nodes_with_memory().size();
    options.arena.pages = {.largest = GetParam().pages, .demand = demand};
    return options;
  }

  /// Nodes whose pool holds their segment.
  static std::set<std::uint32_t> nodes_with_enough() {
    std::set<std::uint32_t> enough;
    for (const std::uint32_t node : nodes_with_memory())
      if (free_huge_pages(node, GetParam().bytes) >= pages_a_node()) enough.insert(node);
    return enough;
  }

  /// Every node's segment is on the pages expected, says so, and so does the kernel.
  static void expect_pages(Store& store, const std::set<std::uint32_t>& huge) {
    for (const NodeStats& node : store.stats().nodes) {
      const numa::SegmentReport& report = node.segment;
      const bool is_huge = huge.contains(report.asked.value);
      EXPECT_EQ(report.pages == GetParam().pages, is_huge) << report.asked.value << ": " << report.note;
      if (!is_huge) {
        EXPECT_NE(report.note.find("echo "), std::string::npos) << "the note names no fix: " << report.note;
      }
      const auto ref = store.put(pattern(1_MiB, report.asked.value), {.node = report.asked});
      ASSERT_TRUE(good(ref));
      const auto pin = store.get(*ref, kLong);
      ASSERT_TRUE(good(pin));
      EXPECT_TRUE(is_pattern(pin->bytes(), report.asked.value));
      if (is_huge) {
        EXPECT_EQ(kernel_page_bytes(pin->bytes().data()), GetParam().bytes);
      } else {
        EXPECT_LT(kernel_page_bytes(pin->bytes().data()), GetParam().bytes);
      }
      const auto pages = pages_by_node(pin->bytes());
      EXPECT_TRUE(pages.size() == 1 && pages.begin()->first == static_cast<int>(report.asked.value))
          << "node " << report.asked.value << ": " << ::testing::PrintToString(pages);
    }
    EXPECT_EQ(store.stats().placed_elsewhere, 0U);
  }

  /// The command that an error's text gives after "as root: ", without what is said after it.
  static std::string fix_in(const std::string& message) {
    constexpr std::string_view kBefore = "as root: ";
    const auto at = message.find(kBefore);
    if (at == std::string::npos) return "";
    const std::string command = message.substr(at + kBefore.size());
    return command.substr(0, command.find_first_of(";(\n"));
  }
};
INSTANTIATE_TEST_SUITE_P(Of, HugePagesTest,
                         ::testing::Values(Size{numa::Pages::huge_2m, 2_MiB, "2MiB"},
                                           Size{numa::Pages::huge_1g, 1_GiB, "1GiB"}),
                         [](const auto& size) { return std::string(size.param.text); });

TEST_P(HugePagesTest, WhereEveryNodeHasEnoughAllAreHuge) {
  const auto enough = nodes_with_enough();
  if (enough.size() < nodes_with_memory().size())
    GTEST_SKIP() << "not every node has " << pages_a_node() << " free pages of " << GetParam().text;
  Store store = open(with(numa::PagePolicy::Demand::require));
  expect_pages(store, enough);
  for (const NodeStats& node : store.stats().nodes) {
    EXPECT_TRUE(node.segment.bound) << node.segment.note;
    EXPECT_EQ(node.segment.note, "");
  }
}

TEST_P(HugePagesTest, WhereANodeHasTooFewItsSegmentTakesSmallerOnesAndSaysWhy) {
  const auto enough = nodes_with_enough();
  if (enough.size() == nodes_with_memory().size())
    GTEST_SKIP() << "every node has enough pages of " << GetParam().text;
  std::uint64_t memory = 0;  // 1 GiB a node on small pages may be more than the machine has
  for (const std::uint32_t node : nodes_with_memory()) {
    std::ifstream in(node_path(node) + "/meminfo");
    std::string word;
    std::uint64_t total = 0;
    in >> word >> word >> word >> total;
    memory += total * 1024;
  }
  if (with(numa::PagePolicy::Demand::prefer).arena.bytes > memory)
    GTEST_SKIP() << "too little memory for " << pages_a_node() << " x " << GetParam().text << " a node";
  Store store = open(with(numa::PagePolicy::Demand::prefer));
  expect_pages(store, enough);
}

TEST_P(HugePagesTest, RequiredOnesThatAreMissingAreAnErrorWhoseFixMendsIt) {
  const auto enough = nodes_with_enough();
  const auto nodes = nodes_with_memory();
  if (enough.size() == nodes.size()) GTEST_SKIP() << "every node has enough pages of " << GetParam().text;
  StoreOptions options = with(numa::PagePolicy::Demand::require);
  if (GetParam().pages == numa::Pages::huge_1g) {
    options.arena.bytes = 64_MiB;  // rounded up to a page a node
    const auto refused = Store::open(options);
    // Memory in pieces of 1 GiB cannot be had after boot, so the fix is only looked at.
    EXPECT_TRUE(fails(refused, Code::unsupported, "hugepagesz=1G"));
    EXPECT_NE(fix_in(refused.error().message()).find("hugepages-1048576kB"), std::string::npos);
    return;
  }
  if (::geteuid() != 0 || getenv("IN_TESTBED_VM") == nullptr)
    GTEST_SKIP() << "only a throw-away machine may be mended";
  // A node each time, until all are mended.
  for (std::size_t node = enough.size(); node < nodes.size(); ++node) {
    const auto refused = Store::open(options);
    ASSERT_TRUE(fails(refused, Code::unsupported));
    const std::string fix = fix_in(refused.error().message());
    ASSERT_NE(fix, "") << refused.error().message();
    ASSERT_EQ(::system(fix.c_str()), 0) << fix;
  }
  Store store = open(options);
  expect_pages(store, {nodes.begin(), nodes.end()});
}

}  // namespace
}  // namespace holdfast::test
