// Waits that end early, in jobs of several processes: what nobody waits for any more is nowhere waited for.
#include "src/peers.h"
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

class MembersWaitTest : public ::testing::TestWithParam<const char*> {
 protected:
  static Ranks::Options job(std::uint32_t size) {
    return {.size = size, .variables = {{"HOLDFAST_SAME_HOST", GetParam()}}};
  }
};
INSTANTIATE_TEST_SUITE_P(SameHost, MembersWaitTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

/// A name of two members that lives with rank 1; the same for the same `what`.
Name name_at_other(std::string_view what) {
  const Peers peers(MemberId{0}, std::vector<Card>(2));
  for (std::uint32_t n = 0;; ++n)
    if (Name candidate = name(std::string(what), n); peers.home_of(*key_of(candidate)) == MemberId{1})
      return candidate;
}

const Scenario kEarly("called_off_early", [](Line&) {
  Store store = join();
  const Name never = name_at_other("never"), there = name_at_other("there"), last = name_at_other("last");
  if (store.rank() == 1) {
    const auto draft = store.draft(10);
    ASSERT_TRUE(good(draft));
    const std::string token = draft->ref().value().token();
    ASSERT_TRUE(good(store.put(there, std::as_bytes(std::span(token)))));
    ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(good(store.get(last, kLong))) << "all that rank 0 has asked for came before this";
    EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 0; }));
    ASSERT_TRUE(good(store.barrier(kLong)));
    return;
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  const auto token = store.get(there, kLong);
  ASSERT_TRUE(good(token));
  const auto promised = store.redeem({reinterpret_cast<const char*>(token->bytes().data()), token->size()});
  ASSERT_TRUE(good(promised));
  const ObjectRef own = store.put(pattern(10, 1)).value();
  // Dropped while the catalogue of rank 1 is being read, which goes on to its end.
  for (int i = 0; i < 100; ++i) {
    const auto dropped = store.fetch(never, {.timeout = 24h});
    const auto enough = store.wait(std::vector{own, *promised}, 1, 24h);
    ASSERT_TRUE(good(enough));
    EXPECT_EQ(enough->pending, std::vector<std::size_t>{1});
  }
  EXPECT_TRUE(good(store.get(there, kLong))) << "behind those reads, and by the same thread";
  ASSERT_TRUE(good(store.put(last, pattern(10, 2))));
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersWaitTest, WhatIsCalledOffWhileItIsLookedUpLeavesNoWaiterBehind) {
  EXPECT_TRUE(Ranks("called_off_early", job(2)).all_good());
}

const Scenario kImpatient("impatient_at_a_barrier", [](Line&) {
  Store store = join();
  const Name go = name("go");
  if (store.rank() == 0) {
    EXPECT_TRUE(fails(store.barrier(1ms), Code::timed_out));
    EXPECT_TRUE(fails(store.barrier(1ms), Code::timed_out));
    ASSERT_TRUE(good(store.put(go, pattern(10, 1))));
  } else {
    ASSERT_TRUE(good(store.get(go, kLong)));
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersWaitTest, ABarrierThatWasGivenUpDoesNotCount) {
  EXPECT_TRUE(Ranks("impatient_at_a_barrier", job(3)).all_good());
}

}  // namespace
}  // namespace holdfast::test
