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

}  // namespace
}  // namespace holdfast::test
