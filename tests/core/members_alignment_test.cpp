// Objects lie as aligned where they are got as where they were put: in other processes' mappings, and in what
// is read over the fabric.
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

class MembersAlignmentTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(SameHost, MembersAlignmentTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

constexpr std::uint32_t kLeast = 64, kMost = 2 << 20;  // as PutOptions::alignment
const std::vector<std::uint64_t> kSizes{0, 1, 4096, 100'000, 1'500'000};

/// Calls `act` with each alignment and size, and a number of its own.
template <class Act>
void each(Act act) {
  std::uint32_t number = 0;
  for (std::uint32_t alignment = kLeast; alignment <= kMost; alignment *= 2)
    for (const std::uint64_t size : kSizes) act(alignment, size, number++);
}

void expect_aligned(const Result<Pin>& pin, std::uint32_t alignment, std::uint64_t size, std::uint32_t number,
                    const char* how) {
  ASSERT_TRUE(good(pin)) << how;
  EXPECT_EQ(pin->size(), size) << how;
  EXPECT_TRUE(is_pattern(pin->bytes(), number)) << how;
  if (size == 0) return;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pin->bytes().data()) % alignment, 0U)
      << how << ": " << size << " bytes aligned to " << alignment;
}

const Scenario kAligned("aligned", [](Line&) {
  Store store = join();
  if (store.rank() == 0) {
    each([&](std::uint32_t alignment, std::uint64_t size, std::uint32_t number) {
      const auto ref = store.put(name("aligned", number), pattern(size, number), {.alignment = alignment});
      ASSERT_TRUE(good(ref));
      expect_aligned(store.get(*ref, kLong), alignment, size, number, "get where it was put");
    });
    ASSERT_TRUE(good(store.barrier(kLong)));
    ASSERT_TRUE(good(store.barrier(kLong)));
    return;
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  std::vector<ObjectRef> refs;
  each([&](std::uint32_t alignment, std::uint64_t size, std::uint32_t number) {
    const auto ref = store.lookup(name("aligned", number), kLong);
    ASSERT_TRUE(good(ref));
    refs.push_back(*ref);
    expect_aligned(store.get(*ref, kLong), alignment, size, number, "get");
    expect_aligned(store.fetch(*ref).wait(kLong), alignment, size, number, "fetch");
  });
  const auto pins = store.get_many(refs, kLong);
  each([&](std::uint32_t alignment, std::uint64_t size, std::uint32_t number) {
    expect_aligned(pins[number], alignment, size, number, "get_many");
  });
  const Stats stats = store.stats();
  const bool by_fabric = std::string_view(std::getenv("HOLDFAST_SAME_HOST")) == "fabric";
  EXPECT_GE(by_fabric ? stats.gets_remote : stats.gets_shared, 3 * refs.size());
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersAlignmentTest, WhatIsPutAlignedIsAlignedInOtherProcesses) {
  EXPECT_TRUE(Ranks("aligned", {.size = 2,
                                .variables = {{"HOLDFAST_ARENA", "256MiB"},
                                              {"HOLDFAST_PAGES", "base"},
                                              {"HOLDFAST_SAME_HOST", GetParam()}}})
                  .all_good());
}

}  // namespace
}  // namespace holdfast::test
