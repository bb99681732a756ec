// Several processes, of which one closes, dies, stops, or never comes. Every call ends; what it says is
// right.
#include <signal.h>

#include "src/peers.h"
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

class MembersLostTest : public ::testing::TestWithParam<const char*> {
 protected:
  static Ranks::Options job(std::uint32_t size, Variables more = {}) {
    more.emplace_back("HOLDFAST_SAME_HOST", GetParam());
    return {.size = size, .variables = std::move(more)};
  }
  static bool fabric() { return std::string_view(GetParam()) == "fabric"; }
};
INSTANTIATE_TEST_SUITE_P(SameHost, MembersLostTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

bool by_fabric() { return std::string_view(getenv("HOLDFAST_SAME_HOST")) == "fabric"; }

/// True where a device answers reads, whatever its process does.
bool by_device(const Store& store) { return store.stats().provider.starts_with("verbs"); }

/// A name of two members that lives with `home`; the same for the same `what`.
Name name_at(std::uint32_t home, std::string_view what) {
  const Peers peers(MemberId{0}, std::vector<Card>(2));
  for (std::uint32_t n = 0;; ++n)
    if (Name candidate = name(std::string(what), n); peers.home_of(*key_of(candidate)).value == home)
      return candidate;
}

/// What rank 1 leaves when it goes, as rank 0 knows it.
struct Left {
  ObjectRef sealed, promised;
};

/// Rank 1 owns one object that is sealed and one that is not; rank 0 has got the first.
Left meet(Store& store, std::optional<Draft>& draft) {
  Left left;
  if (store.rank() == 1) {
    EXPECT_TRUE(good(store.put(name_at(0, "sealed"), pattern(1_MiB, 1))));
    draft.emplace(store.draft(100).value());
    const std::string token = draft->ref().value().token();
    EXPECT_TRUE(good(store.put(name_at(0, "promised"), std::as_bytes(std::span(token)))));
  } else {
    left.sealed = store.lookup(name_at(0, "sealed"), kLong).value();
    EXPECT_TRUE(good(store.get(left.sealed, kLong)));
    const auto token = store.get(name_at(0, "promised"), kLong);
    EXPECT_TRUE(good(token));
    left.promised =
        store.redeem({reinterpret_cast<const char*>(token->bytes().data()), token->size()}).value();
  }
  return left;
}

/// Rank 0, when rank 1 is no more: each kind of call says owner_lost, before the deadline.
void expect_all_lost(Store& store, const Left& left) {
  std::vector<std::byte> buffer(1_MiB);
  EXPECT_TRUE(fails(store.get(left.sealed, kLong), Code::owner_lost, "rank 1"));
  EXPECT_TRUE(fails(store.get(name_at(0, "sealed"), kLong), Code::owner_lost, "rank 1"));
  EXPECT_TRUE(fails(store.fetch(left.sealed).wait(kLong), Code::owner_lost));
  EXPECT_TRUE(fails(store.get_into(left.sealed, buffer, kLong), Code::owner_lost));
  EXPECT_TRUE(fails(store.get_many(std::vector{left.sealed, left.sealed}, kLong)[1], Code::owner_lost));
  EXPECT_TRUE(fails(store.get(left.promised, kLong), Code::owner_lost));
  EXPECT_TRUE(fails(store.erase(left.sealed, kLong), Code::owner_lost));
  EXPECT_TRUE(fails(store.get(name_at(1, "unknown"), kLong), Code::owner_lost)) << "the name's home is gone";
  EXPECT_TRUE(fails(store.lookup(name_at(1, "unknown"), kLong), Code::owner_lost));
  EXPECT_TRUE(fails(store.put(name_at(1, "unknown"), pattern(10, 1), {.timeout = kLong}), Code::owner_lost));
  EXPECT_TRUE(fails(store.erase(name_at(1, "unknown"), kLong), Code::owner_lost));
  EXPECT_FALSE(left.sealed.is_ready());
  const auto waited = store.wait(std::vector{left.sealed, left.promised}, 2, kLong);
  ASSERT_TRUE(good(waited));
  EXPECT_EQ(waited->ready.size(), 2U) << "a get will not wait for them";
  EXPECT_TRUE(good(store.erase(name_at(0, "sealed"), kLong)))
      << "the name can go though its object's owner has gone";
  // This one works on.
  EXPECT_TRUE(good(store.put(name_at(0, "own"), pattern(100, 1))));
  EXPECT_TRUE(good(store.get(name_at(0, "own"), kLong)));
  if (!by_fabric()) {
    EXPECT_EQ(store.stats().members_lost, 1U);
  }
}

const Scenario kClosed("closed", [](Line& test) {
  Store store = join();
  std::optional<Draft> draft;
  const Left left = meet(store, draft);
  if (store.rank() == 1) {
    EXPECT_EQ(test.hear(), "close");
    EXPECT_TRUE(good(store.close()));
    test.say("closed");
    EXPECT_EQ(test.hear(), "end");
  } else {
    // Asleep when the owner goes.
    Op<Pin> waiting = store.fetch(left.promised, {.timeout = kLong});
    EXPECT_FALSE(waiting.poll());
    test.say("met");
    EXPECT_EQ(test.hear(), "closed");
    EXPECT_TRUE(fails(std::move(waiting).wait(kLong), Code::owner_lost, "rank 1"));
    expect_all_lost(store, left);
  }
});
TEST_P(MembersLostTest, ObjectsOfAMemberThatClosedAreLost) {
  Ranks ranks("closed", job(2));
  EXPECT_EQ(ranks[0].hear(), "met");
  ranks[1].say("close");
  EXPECT_EQ(ranks[1].hear(), "closed");
  ranks[0].say("closed");
  EXPECT_EQ(ranks.end(0), 0);
  ranks[1].say("end");
  EXPECT_TRUE(ranks.all_good());
}

const Scenario kKilled("killed", [](Line& test) {
  Store store = join();
  std::optional<Draft> draft;
  const Left left = meet(store, draft);
  if (store.rank() == 1) {
    EXPECT_EQ(test.hear(), "killed before this");
    return;
  }
  Pin kept = store.get(left.sealed, kLong).value();
  Op<Pin> waiting = store.fetch(left.promised, {.timeout = kLong});
  EXPECT_FALSE(waiting.poll());
  test.say("met");
  // Getting without a pause when the owner dies.
  auto pin = store.get(left.sealed, kLong);
  while (pin) pin = store.get(left.sealed, kLong);
  EXPECT_TRUE(fails(pin, Code::owner_lost, "rank 1"));
  EXPECT_TRUE(fails(std::move(waiting).wait(kLong), Code::owner_lost, "rank 1"));
  expect_all_lost(store, left);
  EXPECT_TRUE(is_pattern(kept.bytes(), 1)) << "a pin keeps the bytes though their owner died";
});
TEST_P(MembersLostTest, ObjectsOfAMemberThatDiedAreLost) {
  Ranks ranks("killed", job(2));
  EXPECT_EQ(ranks[0].hear(), "met");
  ranks.signal(1, SIGKILL);
  EXPECT_EQ(ranks.end(1), -SIGKILL);
  EXPECT_TRUE(ranks.all_good());
}

const Scenario kStopped("stopped", [](Line& test) {
  Store store = join();
  std::optional<Draft> draft;
  const Left left = meet(store, draft);
  if (store.rank() == 1) {
    EXPECT_EQ(test.hear(), "end");
    return;
  }
  test.say("met");
  EXPECT_EQ(test.hear(), "stopped");
  EXPECT_TRUE(fails(store.get(left.promised, 300ms), Code::timed_out));
  EXPECT_TRUE(
      fails(store.put(name_at(1, "named"), pattern(10, 1), {.timeout = 300ms}), Code::timed_out, "rank 1"));
  EXPECT_EQ(store.stats().objects, 0U) << "what could not be named is gone";
  EXPECT_TRUE(fails(store.erase(left.sealed, 300ms), Code::timed_out));
  std::vector<std::byte> buffer(1_MiB);
  if (by_fabric() && !by_device(store)) {
    EXPECT_TRUE(fails(store.get(left.sealed, 300ms), Code::timed_out, "rank 1"));
    EXPECT_TRUE(fails(store.get(name_at(0, "sealed"), 300ms), Code::timed_out));
    EXPECT_TRUE(fails(store.get_into(left.sealed, buffer, 300ms), Code::timed_out));
    EXPECT_TRUE(fails(store.get_many(std::vector{left.sealed}, 300ms)[0], Code::timed_out));
    EXPECT_TRUE(fails(store.fetch(left.sealed, {.timeout = 300ms}).wait(kLong), Code::timed_out));
    EXPECT_GT(store.stats().quarantined, 0U) << "the late bytes must find their buffers";
  } else {
    EXPECT_TRUE(good(store.get(left.sealed, kLong)))
        << "neither mapped memory nor an RDMA device needs its owner";
  }
  test.say("timed out");
  EXPECT_EQ(test.hear(), "continued");
  // The erase that timed out may have been done or not; then the object is there or it is not.
  const auto pin = store.get(left.sealed, kLong);
  EXPECT_TRUE(good(pin) || fails(pin, Code::not_found));
  EXPECT_TRUE(good(store.put(name_at(1, "later"), pattern(1_MiB, 2), {.timeout = kLong})));
  EXPECT_TRUE(
      fails(store.get(name_at(1, "named"), kLong, {.missing = GetOptions::Missing::fail}), Code::not_found));
  EXPECT_TRUE(comes_true([&] {
    // Whoever reads drives the endpoint that the late ones come to.
    EXPECT_TRUE(good(store.contains(name_at(1, "later"), kLong)));
    return store.stats().quarantined == 0;
  }));
  test.say("done");
});
TEST_P(MembersLostTest, AStoppedMemberIsWaitedForUntilTheDeadlineAndWorksAgainAfter) {
  Ranks ranks("stopped", job(2));
  EXPECT_EQ(ranks[0].hear(), "met");
  ranks.signal(1, SIGSTOP);
  ranks[0].say("stopped");
  EXPECT_EQ(ranks[0].hear(), "timed out");
  ranks.signal(1, SIGCONT);
  ranks[0].say("continued");
  EXPECT_EQ(ranks[0].hear(), "done");
  ranks[1].say("end");
  EXPECT_TRUE(ranks.all_good());
}

const Scenario kReader("reader", [](Line& test) {
  Store store = join();
  if (store.rank() == 0) {
    const ObjectRef ref = store.put(name("pinned"), pattern(1_MiB, 1)).value();
    EXPECT_EQ(test.hear(), "pinned");
    const std::uint64_t used = store.stats().nodes.front().bytes_used;
    EXPECT_TRUE(good(store.erase(ref, kLong)));
    EXPECT_EQ(store.stats().blocks_awaiting_unpin, by_fabric() ? 0U : 1U);
    test.say("erased");
    EXPECT_TRUE(comes_true([&] { return store.stats().blocks_awaiting_unpin == 0; }));
    EXPECT_LE(store.stats().nodes.front().bytes_used, used - 1_MiB);
  } else {
    const auto pin = store.get(name("pinned"), kLong);
    ASSERT_TRUE(good(pin));
    test.say("pinned");
    EXPECT_EQ(test.hear(), "look");
    EXPECT_TRUE(is_pattern(pin->bytes(), 1));
    test.say("looked");
    EXPECT_EQ(test.hear(), "killed before this");
  }
});
TEST_P(MembersLostTest, PinsOfAReaderThatDiedAreGone) {
  Ranks ranks("reader", job(2));
  EXPECT_EQ(ranks[1].hear(), "pinned");
  ranks[0].say("pinned");
  EXPECT_EQ(ranks[0].hear(), "erased");
  ranks[1].say("look");
  EXPECT_EQ(ranks[1].hear(), "looked");
  ranks.signal(1, SIGKILL);
  EXPECT_EQ(ranks.end(1), -SIGKILL);
  EXPECT_TRUE(ranks.all_good());
}

const Scenario kRefused("refused", [](Line& test) {
  const auto store = Store::open();
  test.say(store ? "opened" : store.error().message());
  EXPECT_EQ(test.hear(), "end");
});

TEST(MembersOpenTest, ARankThatNeverComesIsNamed) {
  Ranks ranks("refused", {.size = 3, .start = 2, .variables = {{"HOLDFAST_OPEN_TIMEOUT", "10"}}});
  for (const std::size_t rank : {0U, 1U}) {
    const std::string message = ranks[rank].hear();
    EXPECT_NE(message.find("timed_out"), std::string::npos) << message;
    EXPECT_NE(message.find("rank 2"), std::string::npos) << message;
    ranks[rank].say("end");
  }
  EXPECT_TRUE(ranks.all_good());
}

TEST(MembersOpenTest, MembersWithProvidersThatCannotTalkAreNamed) {
  Ranks ranks("refused",
              {.size = 2, .each = {{{"HOLDFAST_PROVIDER", "net"}}, {{"HOLDFAST_PROVIDER", "tcp;ofi_rxm"}}}});
  const std::string messages[] = {ranks[0].hear(), ranks[1].hear()};
  for (const std::size_t rank : {0U, 1U}) ranks[rank].say("end");
  for (const std::string& message : messages) {
    EXPECT_NE(message.find("unsupported"), std::string::npos) << message;
    EXPECT_NE(message.find("rank 0"), std::string::npos) << message;
    EXPECT_NE(message.find("rank 1"), std::string::npos) << message;
    EXPECT_NE(message.find("net"), std::string::npos) << message;
    EXPECT_NE(message.find("tcp;ofi_rxm"), std::string::npos) << message;
  }
  EXPECT_TRUE(ranks.all_good());
}

}  // namespace
}  // namespace holdfast::test
