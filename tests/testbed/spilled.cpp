// More than the arenas hold: what a rank has put goes to its disk, comes back when others get it, and goes
// for good once nobody refers to it.
#include <thread>

#include "tests/testbed/job.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kObjects = 18, kSize = 2_MiB;
static_assert(kObjects * kSize > kExchangeArena, "some of each rank's objects have to go to its disk");

std::uint64_t seed_of(std::uint32_t rank, std::uint64_t i) { return 1'000'000 + rank * kObjects + i; }

/// Two further ranks, of which one at least is on another host where no host has more than two.
std::vector<std::uint32_t> neighbours(const Store& store) {
  std::vector<std::uint32_t> others;
  for (std::uint32_t step = 1; step <= 2 && step < store.size(); ++step)
    others.push_back((store.rank() + step) % store.size());
  if (others.empty()) others.push_back(store.rank());  // alone
  return others;
}

Name list_of(std::uint32_t rank) { return name("spilled", rank); }

/// They are parts of an object with a name: tokens would keep them until their time has come.
std::vector<ObjectRef> put_own(Store& store) {
  PutOptions with_parts;
  for (std::uint64_t i = 0; i < kObjects; ++i) {
    auto ref = store.put(pattern(kSize, seed_of(store.rank(), i)));
    EXPECT_TRUE(good(ref)) << i;
    if (ref) with_parts.parts.push_back(std::move(*ref));
  }
  EXPECT_TRUE(good(store.put(list_of(store.rank()), bytes_of("list"), with_parts)));
  return std::move(with_parts.parts);
}

std::vector<ObjectRef> refer_to_all_of(Store& store, std::uint32_t other) {
  const auto list = store.lookup(list_of(other), kLong);
  EXPECT_TRUE(good(list));
  if (!list) return {};
  auto refs = store.parts(*list, kLong);
  EXPECT_TRUE(good(refs));
  return refs ? std::move(*refs) : std::vector<ObjectRef>();
}

/// Gets all that the neighbours have put, and gives references to it.
std::vector<ObjectRef> get_theirs(Store& store) {
  std::vector<ObjectRef> all;
  for (const std::uint32_t other : neighbours(store)) {
    const std::vector<ObjectRef> refs = refer_to_all_of(store, other);
    EXPECT_EQ(refs.size(), kObjects);
    for (std::uint64_t i = 0; i < refs.size(); ++i) {
      const auto pin = store.get(refs[i], kLong);
      EXPECT_TRUE(good(pin)) << i << " of rank " << other;
      EXPECT_TRUE(pin && pin->size() == kSize && is_pattern(pin->bytes(), seed_of(other, i)))
          << i << " of rank " << other;
    }
    all.insert(all.end(), refs.begin(), refs.end());
  }
  return all;
}

template <class Condition>
bool comes_true(Condition condition) {
  const Deadline end = Deadline::after(real_clock(), kLong);
  while (!condition()) {
    if (end.passed(real_clock())) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

void exchange_spilled(Store& store) {
  std::vector<ObjectRef> own = put_own(store);
  ASSERT_EQ(own.size(), kObjects);
  EXPECT_GT(store.stats().spills, 0U) << "more was put than the arena holds";
  std::vector<ObjectRef> theirs = get_theirs(store);
  ASSERT_TRUE(good(store.barrier(kLong)));  // all have got all, and still refer to it
  const Stats held = store.stats();
  EXPECT_GT(held.restores, 0U) << "not all that was got can have been in memory";
  if (store.size() > 1) {
    EXPECT_GE(held.held_elsewhere, kObjects);
  }
  ASSERT_TRUE(good(store.barrier(kLong)));

  theirs.clear();
  EXPECT_TRUE(comes_true([&] { return store.stats().held_elsewhere == 0; }))
      << store.stats().held_elsewhere << " objects are still held by others";
  EXPECT_TRUE(good(store.erase(list_of(store.rank()), kLong)));
  own.clear();
  // What nothing keeps is at most cached in memory.
  EXPECT_TRUE(comes_true([&] {
    const Stats stats = store.stats();
    return stats.objects == stats.cached && stats.on_disk + stats.spilling == 0;
  }));
  const Stats after = store.stats();
  EXPECT_EQ(after.objects, after.cached) << "something keeps them";
  EXPECT_EQ(after.on_disk, 0U);
  fmt::print("rank {}: {} spills, {} restores; held by others: {}, then {}; on disk: {}, then {}\n",
             store.rank(), after.spills, after.restores, held.held_elsewhere, after.held_elsewhere,
             held.on_disk, after.on_disk);
}

}  // namespace holdfast::test
