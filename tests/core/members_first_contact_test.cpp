// Members on one host that have not met yet, and of which one is stopped.
#include <signal.h>

#include "tests/core/interruptions.h"
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

/// In the rank of each object's owner: puts one, hands its token out, and stays until the test says so.
void own_one(Line& test, Store& store) {
  const ObjectRef ref = store.put(pattern(1000, store.rank())).value();
  test.say(ref.token());
  EXPECT_EQ(test.hear(), "end");
}

/// In rank 0, by a message, which maps nothing.
ObjectRef redeem_one(Line& test, Store& store) {
  auto ref = store.redeem(test.hear(), kLong);
  EXPECT_TRUE(good(ref));
  return ref.value_or(ObjectRef());
}

/// Rank 0 has redeemed what the others own, and knows no memory of theirs; rank 1 is stopped.
void stop_first(Ranks& ranks, std::size_t owners) {
  for (std::size_t rank = 1; rank <= owners; ++rank) ranks[0].say(ranks[rank].hear());
  EXPECT_EQ(ranks[0].hear(), "redeemed");
  ranks.signal(1, SIGSTOP);
  ranks[0].say("stopped");
  EXPECT_EQ(ranks[0].hear(), "done");
  ranks.signal(1, SIGCONT);
  ranks[0].say("continued");
  EXPECT_EQ(ranks.end(0), 0);
  for (std::size_t rank = 1; rank <= owners; ++rank) ranks[rank].say("end");
}

const Scenario kInterrupted("stopped_and_interrupted", [](Line& test) {
  Store store = join();
  if (store.rank() == 1) return own_one(test, store);
  const ObjectRef ref = redeem_one(test, store);
  test.say("redeemed");
  EXPECT_EQ(test.hear(), "stopped");
  {
    const Interruptions interruptions;
    EXPECT_TRUE(fails(store.get(ref, 500ms), Code::timed_out, "rank 1"));
  }
  test.say("done");
  EXPECT_EQ(test.hear(), "continued");
  const auto pin = store.get(ref, kLong);
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 1));
});
TEST(MembersFirstContactTest, AGetEndsByItsDeadlineWhateverSignalsCome) {
  Ranks ranks("stopped_and_interrupted", {.size = 2});
  stop_first(ranks, 1);
  EXPECT_TRUE(ranks.all_good());
}

const Scenario kAmongOthers("stopped_among_others", [](Line& test) {
  Store store = join();
  if (store.rank() != 0) return own_one(test, store);
  const ObjectRef stopped = redeem_one(test, store), healthy = redeem_one(test, store);
  const ObjectRef own = store.put(pattern(10, 3)).value();
  test.say("redeemed");
  EXPECT_EQ(test.hear(), "stopped");

  Op<Pin> until_it_goes_on = store.fetch(stopped, {.timeout = 10 * kLong});
  EXPECT_FALSE(until_it_goes_on.poll()) << "it blocks until the deadline";
  const TimePoint start = real_clock().now();
  const auto enough = store.wait(std::vector{stopped, own}, 1, 10 * kLong);
  ASSERT_TRUE(good(enough));
  EXPECT_EQ(enough->ready, std::vector<std::size_t>{1});
  // All in one batch, and by the thread whose lane waits for the other already.
  const auto pins = store.get_many(std::vector{stopped, healthy, own}, 5s);
  EXPECT_TRUE(fails(pins[0], Code::timed_out, "rank 1"));
  EXPECT_TRUE(good(pins[1])) << "its owner was not met before either";
  EXPECT_TRUE(good(pins[2]));
  EXPECT_LT(real_clock().now() - start, kLong);
  EXPECT_EQ(store.stats().gets_shared, 1U);
  EXPECT_TRUE(fails(store.get(stopped, 100ms), Code::timed_out, "rank 1"));
  EXPECT_TRUE(fails(store.get(stopped, 0s), Code::timed_out, "rank 1"));

  test.say("done");
  EXPECT_EQ(test.hear(), "continued");
  const auto pin = std::move(until_it_goes_on).wait(kLong);
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 1));
  EXPECT_EQ(store.stats().gets_remote, 0U) << "it is mapped";
});
TEST(MembersFirstContactTest, OneThatIsStoppedHoldsUpNobodyElse) {
  Ranks ranks("stopped_among_others", {.size = 3});
  stop_first(ranks, 2);
  EXPECT_TRUE(ranks.all_good());
}

const Scenario kNeverAnswered("killed_before_it_answered", [](Line& test) {
  Store store = join();
  if (store.rank() != 0) return own_one(test, store);
  const ObjectRef ref = redeem_one(test, store);
  test.say("redeemed");
  EXPECT_EQ(test.hear(), "stopped");
  Op<Pin> waiting = store.fetch(ref, {.timeout = 10 * kLong});
  EXPECT_FALSE(waiting.poll());
  test.say("waits");
  EXPECT_TRUE(fails(std::move(waiting).wait(kLong), Code::owner_lost, "rank 1"));
});
TEST(MembersFirstContactTest, OneThatEndsBeforeItAnswersIsLost) {
  Ranks ranks("killed_before_it_answered", {.size = 2});
  ranks[0].say(ranks[1].hear());
  EXPECT_EQ(ranks[0].hear(), "redeemed");
  ranks.signal(1, SIGSTOP);
  ranks[0].say("stopped");
  EXPECT_EQ(ranks[0].hear(), "waits");
  ranks.signal(1, SIGKILL);
  EXPECT_EQ(ranks.end(1), -SIGKILL);
  EXPECT_TRUE(ranks.all_good());
}

}  // namespace
}  // namespace holdfast::test
