// Threads that get no endpoint to read by, as when the process has no file descriptors left.
#include <sys/resource.h>

#include <thread>

#include "src/peers.h"
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

Name name_at(std::uint32_t home, std::string_view what) {
  const Peers peers(MemberId{0}, std::vector<Card>(2));
  for (std::uint32_t n = 0;; ++n)
    if (Name candidate = name(std::string(what), n); peers.home_of(*key_of(candidate)).value == home)
      return candidate;
}

/// On a thread of its own, which was not known before, and without descriptors.
template <class Work>
void without_descriptors(Work work) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{0, limit.rlim_max};
  std::thread thread([&] {
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    work();
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  });
  thread.join();
}

const Scenario kNoLane("no_lane", [](Line&) {
  Store store = join();
  if (store.rank() == 0) {
    const Name there = name_at(1, "there"), own = name_at(0, "own"), other = name_at(1, "other");
    ASSERT_TRUE(good(store.put(there, pattern(10, 1))));
    const auto ref = store.lookup(there, kLong);
    ASSERT_TRUE(good(ref));
    Draft draft = store.draft(10).value();
    const ObjectRef promised = draft.ref().value();
    const std::uint64_t objects = store.stats().objects;
    without_descriptors([&] {
      EXPECT_FALSE(store.put(own, pattern(10, 2)));
      EXPECT_FALSE(store.put(other, pattern(10, 3)));
      EXPECT_FALSE(std::move(draft).seal(other));
    });
    EXPECT_EQ(store.stats().objects, objects) << "what nobody can name or let go of is not there";
    EXPECT_TRUE(fails(store.get(promised, kLong), Code::not_found)) << "who waits for it is told";
    without_descriptors([&] { EXPECT_FALSE(store.erase(*ref, kLong)); });
    EXPECT_TRUE(comes_true([&] { return !store.contains(there, kLong).value(); })) << "its name goes, too";
    for (const Name& name : {own, other, there}) EXPECT_TRUE(good(store.put(name, pattern(10, 4))));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST(MembersLanesTest, WhoGetsNoEndpointLeavesNothingBehind) {
  EXPECT_TRUE(Ranks("no_lane", {.size = 2}).all_good());
}

}  // namespace
}  // namespace holdfast::test
