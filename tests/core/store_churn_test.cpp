// Mixed churn for long, then large objects: what is free is joined where it does not lie together.
#include "tests/core/store_fixture.h"

namespace holdfast::test {
namespace {

using StoreChurnTest = StoreTest;

TEST_F(StoreChurnTest, AQuarterOfTheArenaIsFoundAfterMuchMixedChurn) {
  StoreOptions options = small_options();
  options.lifetime.collect = Collect::eager;
  Store store = open(options);
  constexpr std::uint64_t kSeed = 7, kLevel = 64_MiB / 100 * 60, kQuarter = 16_MiB;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  Dice dice(kSeed);
  struct Live {
    ObjectRef ref;
    std::uint64_t seed = 0;
  };
  std::vector<Live> live;
  std::uint64_t bytes = 0, moved = 0;
  for (std::uint64_t i = 0; i < 30'000; ++i) {
    const std::uint64_t power = dice.below(10) != 0 ? 64ULL << dice.below(10) : 64_KiB << dice.below(4);
    const std::uint64_t size = power + dice.below(power);
    while (bytes + size > kLevel) {
      const std::uint64_t at = dice.below(live.size());
      bytes -= live[at].ref.size();
      std::swap(live[at], live.back());
      live.pop_back();
    }
    live.push_back({put(store, size, i, no_wait()), i});
    bytes += size;
    if (i % 3'000 != 2'999) continue;
    const auto large = store.put(pattern(kQuarter, i), no_wait());
    ASSERT_TRUE(good(large)) << i;
    ASSERT_TRUE(is_pattern(store.get(*large, 0s).value().bytes(), i)) << i;
    EXPECT_GE(store.stats().moved, moved);
    moved = store.stats().moved;
  }
  EXPECT_GT(moved, 0U) << "else this shows nothing";
  for (const Live& one : live) {
    const auto pin = store.get(one.ref, 0s);
    ASSERT_TRUE(good(pin));
    ASSERT_TRUE(is_pattern(pin->bytes(), one.seed)) << one.seed;
  }
}

}  // namespace
}  // namespace holdfast::test
