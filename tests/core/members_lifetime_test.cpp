// How long objects live across members: every way a reference goes from one to another, and deaths.
#include <signal.h>

#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

Name name_for(std::uint32_t rank, std::string_view what) {
  return Name(std::string(what) + "/" + std::to_string(rank));
}

std::string say_token(Store& store, const Name& as, const ObjectRef& ref) {
  const std::string token = ref.token();
  EXPECT_TRUE(good(store.put(as, std::as_bytes(std::span(token)))));
  return token;
}

std::string hear_token(Store& store, const Name& as) {
  const auto pin = store.get(as, kLong);
  EXPECT_TRUE(good(pin));
  return pin ? std::string(reinterpret_cast<const char*>(pin->bytes().data()), pin->size()) : std::string();
}

Ranks::Options job(std::uint32_t size, Variables more = {}) {
  Variables variables = {{"HOLDFAST_ARENA", "32MiB"},
                         {"HOLDFAST_PAGES", "base"},
                         {"HOLDFAST_COLLECT", "eager"},
                         {"HOLDFAST_MEMBER_TIMEOUT", "1"}};
  variables.insert(variables.end(), more.begin(), more.end());
  return {.size = size, .variables = variables};
}

/// Long enough to pass a token on, short enough to wait for its end. Emulated machines are given more time.
std::pair<std::string, std::string> tokens_end_soon() {
  const char* const longer = getenv("CORE_TEST_TOKEN_LIFETIME");
  return {"HOLDFAST_TOKEN_LIFETIME", longer != nullptr ? longer : "3"};
}

std::uint64_t own_objects(const Store& store) { return store.stats().objects; }

// Rank 0 owns; the reference goes round the ring, each member letting go of it before the next has it.
const Scenario kRing("lifetime_ring", [](Line&) {
  Store store = join();
  const std::uint32_t next = (store.rank() + 1) % store.size();
  if (store.rank() == 0) {
    say_token(store, name_for(next, "ring"), store.put(pattern(1000, 3)).value());
    auto back = store.redeem(hear_token(store, name_for(0, "ring")));
    ASSERT_TRUE(good(back));
    EXPECT_TRUE(is_pattern(store.get(*back, kLong).value().bytes(), 3));
    EXPECT_EQ(store.stats().collected, 0U);
  } else {
    const auto ref = store.redeem(hear_token(store, name_for(store.rank(), "ring")));
    ASSERT_TRUE(good(ref));
    EXPECT_TRUE(is_pattern(store.get(*ref, kLong).value().bytes(), 3));
    say_token(store, name_for(next, "ring"), *ref);
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST(MembersLifetimeTest, AReferencePassedOnInARingNeverLosesItsObject) {
  EXPECT_TRUE(Ranks("lifetime_ring", job(4)).all_good());
}

// Who holds, and nothing else, decides; tokens are short-lived here.
const Scenario kHeld("lifetime_held", [](Line&) {
  Store store = join();
  ASSERT_TRUE(good(store.barrier(kLong)));  // tokens would end while others still start
  if (store.rank() == 0) {
    {
      const ObjectRef ref = store.put(pattern(1000, 5)).value();
      for (std::uint32_t rank = 1; rank < store.size(); ++rank) say_token(store, name_for(rank, "to"), ref);
      ASSERT_TRUE(good(store.barrier(kLong)));  // all have redeemed theirs
    }
    const std::uint64_t names = store.stats().objects - 1;
    EXPECT_TRUE(comes_true([&] { return store.stats().held_elsewhere == 1; }));
    ASSERT_TRUE(good(store.barrier(kLong)));  // they drop it, one after the other
    EXPECT_TRUE(comes_true([&] { return own_objects(store) == names; })) << "the last drop frees it";
    EXPECT_EQ(store.stats().held_elsewhere, 0U);
  } else {
    auto ref = store.redeem(hear_token(store, name_for(store.rank(), "to")));
    ASSERT_TRUE(good(ref));
    ASSERT_TRUE(good(store.barrier(kLong)));
    ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(is_pattern(store.get(*ref, kLong).value().bytes(), 5)) << "held here";
    ref = fail(Code::invalid, "", "");
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST(MembersLifetimeTest, AnObjectLivesUntilTheLastMemberDropsIt) {
  EXPECT_TRUE(Ranks("lifetime_held", job(3, {tokens_end_soon()})).all_good());
}

// Its socket takes what is sent to it, as that of a host without power seems to; nothing else tells.
const Scenario kSilent("lifetime_silent", [](Line& test) {
  Store store = join();
  ASSERT_TRUE(good(store.barrier(kLong)));  // as above
  const Name first = name_for(1, "first"), second = name_for(1, "second");
  if (store.rank() == 0) {
    say_token(store, first, store.put(pattern(1000, 5)).value());
    EXPECT_EQ(test.hear(), "held");
    ASSERT_TRUE(good(store.erase(first, kLong)));
    EXPECT_TRUE(comes_true([&] { return own_objects(store) == 1; }));
    test.say("ready");
    EXPECT_EQ(test.hear(), "stopped");
    EXPECT_TRUE(comes_true([&] { return own_objects(store) == 0; }));
    test.say("given up");
    EXPECT_EQ(test.hear(), "continued");
    say_token(store, second, store.put(pattern(1000, 6)).value());
  } else {
    const auto ref = store.redeem(hear_token(store, first));
    ASSERT_TRUE(good(ref));
    test.say("held");
    EXPECT_EQ(test.hear(), "continued");
    EXPECT_TRUE(fails(store.get(*ref, kLong, {.missing = GetOptions::Missing::fail}), Code::not_found));
    const auto anew = store.redeem(hear_token(store, second));
    ASSERT_TRUE(good(anew));
    EXPECT_TRUE(is_pattern(store.get(*anew, kLong).value().bytes(), 6));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST(MembersLifetimeTest, AMemberThatSaysNothingForLongIsGivenUpAndWorksAgainAfter) {
  Ranks ranks("lifetime_silent", job(2, {tokens_end_soon()}));
  EXPECT_EQ(ranks[1].hear(), "held");
  ranks[0].say("held");
  EXPECT_EQ(ranks[0].hear(), "ready");
  ranks.signal(1, SIGSTOP);
  ranks[0].say("stopped");
  EXPECT_EQ(ranks[0].hear(), "given up");
  ranks.signal(1, SIGCONT);
  for (const std::size_t rank : {0U, 1U}) ranks[rank].say("continued");
  EXPECT_TRUE(ranks.all_good());
}

// Rank 1 holds one object, rank 2 another, both a third; rank 1 is killed.
const Scenario kKilled("lifetime_killed", [](Line& test) {
  Store store = join();
  ASSERT_TRUE(good(store.barrier(kLong)));  // as above
  if (store.rank() == 0) {
    for (const std::uint64_t i : {1, 2, 3}) {
      const ObjectRef ref = store.put(pattern(1000, i)).value();
      for (std::uint32_t rank = 1; rank < 3; ++rank)
        say_token(store, name_for(rank, "object" + std::to_string(i)), ref);
    }
    ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_EQ(store.stats().held_elsewhere, 3U);
    for (const int i : {1, 2, 3})  // some have their homes at rank 1, and would go with it
      for (std::uint32_t rank = 1; rank < 3; ++rank)
        EXPECT_TRUE(good(store.erase(name_for(rank, "object" + std::to_string(i)), kLong)));
    EXPECT_EQ(own_objects(store), 3U);
    test.say("held");
    EXPECT_EQ(test.hear(), "killed");
    // When its death is noticed, and the tokens have ended, too.
    EXPECT_TRUE(comes_true([&] { return own_objects(store) == 2; })) << "exactly what it held alone";
    EXPECT_EQ(store.stats().held_elsewhere, 2U);
    test.say("dropped");
    EXPECT_EQ(test.hear(), "end");
    return;
  }
  std::vector<ObjectRef> refs;
  for (const int i : {1, 2, 3})
    if (i == 3 || static_cast<std::uint32_t>(i) == store.rank()) {
      const auto ref = store.redeem(hear_token(store, name_for(store.rank(), "object" + std::to_string(i))));
      ASSERT_TRUE(good(ref));
      refs.push_back(*ref);
    }
  ASSERT_TRUE(good(store.barrier(kLong)));
  if (store.rank() == 1) {
    test.say("holding");
    test.hear();  // until it is killed
  }
  EXPECT_EQ(test.hear(), "look");
  EXPECT_TRUE(is_pattern(store.get(refs[0], kLong).value().bytes(), 2));
  EXPECT_TRUE(is_pattern(store.get(refs[1], kLong).value().bytes(), 3));
});
TEST(MembersLifetimeTest, AKilledMemberDropsExactlyItsReferences) {
  Ranks ranks("lifetime_killed", job(3, {tokens_end_soon()}));
  EXPECT_EQ(ranks[0].hear(), "held");
  EXPECT_EQ(ranks[1].hear(), "holding");
  ranks.signal(1, SIGKILL);
  EXPECT_EQ(ranks.end(1), -SIGKILL);
  ranks[0].say("killed");
  EXPECT_EQ(ranks[0].hear(), "dropped");
  ranks[2].say("look");
  EXPECT_EQ(ranks.end(2), 0);
  ranks[0].say("end");
  EXPECT_EQ(ranks.end(0), 0);
}

// A member that leaves lets go of what it held.
const Scenario kLeaves("lifetime_leaves", [](Line&) {
  Store store = join();
  ASSERT_TRUE(good(store.barrier(kLong)));  // as above
  if (store.rank() == 0) {
    say_token(store, name_for(1, "token"), store.put(pattern(1000, 1)).value());
    const std::uint64_t names = store.stats().objects - 1;
    ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(comes_true([&] { return own_objects(store) == names; }));
  } else {
    static const auto ref = store.redeem(hear_token(store, name_for(1, "token")));  // never dropped
    ASSERT_TRUE(good(ref));
    ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(good(store.close()));
  }
});
TEST(MembersLifetimeTest, AMemberThatClosesLetsGo) {
  EXPECT_TRUE(Ranks("lifetime_leaves", job(2, {tokens_end_soon()})).all_good());
}

// Tokens that come late, or twice, or for what is gone.
const Scenario kLate("lifetime_late", [](Line&) {
  Store store = join();
  ASSERT_TRUE(good(store.barrier(kLong)));  // as above
  if (store.rank() == 0) {
    const ObjectRef kept = store.put(pattern(10, 1)).value(), erased = store.put(pattern(10, 2)).value();
    const std::string late = kept.token();
    EXPECT_TRUE(comes_true([&] { return store.stats().held_elsewhere == 0; }));
    ASSERT_TRUE(good(store.put(name_for(1, "late"), std::as_bytes(std::span(late)))));
    say_token(store, name_for(1, "erased"), erased);
    ASSERT_TRUE(good(store.erase(erased, kLong)));
    say_token(store, name_for(1, "good"), kept);
    ASSERT_TRUE(good(store.barrier(kLong)));
    ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(good(store.get(kept, kLong)));
  } else {
    EXPECT_TRUE(fails(store.redeem(hear_token(store, name_for(1, "late"))), Code::expired));
    EXPECT_TRUE(fails(store.redeem(hear_token(store, name_for(1, "erased"))), Code::not_found));
    const std::string token = hear_token(store, name_for(1, "good"));
    const auto first = store.redeem(token), second = store.redeem(token);
    EXPECT_TRUE(good(first));
    EXPECT_TRUE(good(second));
    ASSERT_TRUE(good(store.barrier(kLong)));
    ASSERT_TRUE(good(store.barrier(kLong)));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST(MembersLifetimeTest, LateTokensSaySo) {
  EXPECT_TRUE(Ranks("lifetime_late", job(2, {tokens_end_soon()})).all_good());
}

// Members that put, pass on and drop all the time: in the end nothing is left.
const Scenario kChurn("lifetime_churn", [](Line&) {
  Store store = join();
  const std::uint32_t next = (store.rank() + 1) % store.size();
  constexpr std::uint64_t kRounds = 60;
  ASSERT_TRUE(good(store.barrier(kLong)));  // as above
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const std::uint64_t seed = round * 100 + store.rank();
    const Name to("churn/" + std::to_string(round) + "/" + std::to_string(next));
    const Name from("churn/" + std::to_string(round) + "/" + std::to_string(store.rank()));
    say_token(store, to, store.put(pattern(200000 + round, seed)).value());
    const std::uint64_t theirs = round * 100 + (store.rank() + store.size() - 1) % store.size();
    const auto ref = store.redeem(hear_token(store, from));
    ASSERT_TRUE(good(ref));
    const auto pin = store.get(*ref, kLong);
    ASSERT_TRUE(good(pin));
    ASSERT_TRUE(is_pattern(pin->bytes(), theirs));
    ASSERT_TRUE(good(store.erase(from, kLong)));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  EXPECT_TRUE(comes_true([&] { return own_objects(store) == 0; })) << store.stats().objects << " are left";
  EXPECT_EQ(store.stats().held_elsewhere, 0U);
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST(MembersLifetimeTest, ChurnLeavesNothingBehind) {
  EXPECT_TRUE(Ranks("lifetime_churn", job(3, {tokens_end_soon()})).all_good());
  EXPECT_TRUE(
      Ranks("lifetime_churn", job(3, {tokens_end_soon(), {"HOLDFAST_SAME_HOST", "fabric"}})).all_good());
}

// Rank 1 puts an object with parts that rank 0 owns, and lets go of them; rank 2 finds them through it.
const Scenario kPartsOfOthers("lifetime_parts", [](Line&) {
  Store store = join();
  ASSERT_TRUE(good(store.barrier(kLong)));  // as above
  constexpr std::uint64_t kParts = 100;     // more than one message tells
  const Name whole("whole");
  if (store.rank() == 0) {
    std::string tokens;
    {
      std::vector<ObjectRef> refs;
      for (std::uint64_t i = 0; i < kParts; ++i) refs.push_back(store.put(pattern(100, i)).value());
      for (const ObjectRef& ref : refs) tokens += ref.token() + "\n";
      ASSERT_TRUE(good(store.put(Name("tokens"), std::as_bytes(std::span(tokens)))));
      ASSERT_TRUE(good(store.barrier(kLong)));  // rank 1 holds them
    }
    EXPECT_TRUE(comes_true([&] { return store.stats().held_elsewhere == kParts; }));
    ASSERT_TRUE(good(store.barrier(kLong)));  // rank 2 has them
    ASSERT_TRUE(good(store.barrier(kLong)));  // the whole is gone
    EXPECT_TRUE(comes_true([&] { return store.stats().held_elsewhere == 1; })) << "the one that rank 2 kept";
    ASSERT_TRUE(good(store.barrier(kLong)));
  } else if (store.rank() == 1) {
    {
      PutOptions options;
      std::string_view text;
      const auto pin = store.get(Name("tokens"), kLong);
      ASSERT_TRUE(good(pin));
      text = {reinterpret_cast<const char*>(pin->bytes().data()), pin->size()};
      for (; !text.empty(); text.remove_prefix(text.find('\n') + 1))
        options.parts.push_back(store.redeem(text.substr(0, text.find('\n'))).value());
      ASSERT_TRUE(good(store.put(whole, pattern(10, 1), options)));
    }
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(good(store.barrier(kLong)));
    ASSERT_TRUE(good(store.erase(whole, kLong)));
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(good(store.barrier(kLong)));
  } else {
    ASSERT_TRUE(good(store.barrier(kLong)));
    const auto ref = store.lookup(whole, kLong);
    ASSERT_TRUE(good(ref));
    auto parts = store.parts(*ref, kLong);
    ASSERT_TRUE(good(parts));
    ASSERT_EQ(parts->size(), kParts);
    for (std::uint64_t i = 0; i < kParts; ++i) {
      const auto pin = store.get((*parts)[i], kLong);
      ASSERT_TRUE(good(pin)) << i;
      EXPECT_TRUE(is_pattern(pin->bytes(), i)) << i;
    }
    const ObjectRef kept = (*parts)[7];
    parts->clear();
    const std::string why = store.why(kept, kLong).value();
    EXPECT_NE(why.find("references of rank 2"), std::string::npos) << why;
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(is_pattern(store.get(kept, kLong).value().bytes(), 7));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST(MembersLifetimeTest, AnObjectKeepsPartsThatOthersOwn) {
  EXPECT_TRUE(Ranks("lifetime_parts", job(3, {tokens_end_soon()})).all_good());
}

}  // namespace
}  // namespace holdfast::test
