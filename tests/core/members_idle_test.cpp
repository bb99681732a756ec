// What a job costs that does nothing.
#include <sys/resource.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

constexpr Duration kIdle = 5s;
// 1 % of a core, for all members together.
constexpr Duration kMost = kIdle / 100;
// Of each member: agent, neighbours and spilling look around ten times a second, and answer probes.
constexpr std::int64_t kMostSleeps = 50 * (kIdle / 1s);

std::int64_t number(const std::string& text) {
  std::int64_t out = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
  EXPECT_EQ(read.ec, std::errc{}) << text;
  return out;
}

/// On an emulated machine (CORE_TEST_SLOWNESS, times) what is done when somebody wakes takes longer, not the
/// sleeping.
std::int64_t slowness() {
  const char* const times = getenv("CORE_TEST_SLOWNESS");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return times == nullptr ? 1 : number(times);
}

struct Usage {
  Duration cpu{};
  std::int64_t sleeps = 0;
};

Usage usage() {
  rusage used{};
  EXPECT_EQ(getrusage(RUSAGE_SELF, &used), 0);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return {of(used.ru_utime) + of(used.ru_stime), used.ru_nvcsw};
}

const Scenario kIdleRank("idle", [](Line& test) {
  Store store = join();
  const auto token_for = [&](std::uint32_t rank) { return name("token", rank % store.size()); };
  const ObjectRef own = store.put(pattern(1000, store.rank())).value();
  const std::string token = own.token();
  ASSERT_TRUE(good(store.put(token_for(store.rank() + 1), std::as_bytes(std::span(token)))));
  std::optional<ObjectRef> held;
  {
    const auto mine = store.get(token_for(store.rank()), kLong);
    ASSERT_TRUE(good(mine));
    held = store.redeem({reinterpret_cast<const char*>(mine->bytes().data()), mine->size()}, kLong).value();
  }
  EXPECT_TRUE(good(store.get(*held, kLong)));
  EXPECT_TRUE(comes_true([&] { return store.stats().held_elsewhere == 1; }));
  ASSERT_TRUE(good(store.barrier(kLong)));
  std::this_thread::sleep_for(1s);  // not for anything to happen: connections are made, and what began ends
  const Usage before = usage();
  std::this_thread::sleep_for(kIdle);  // what is measured
  const Usage after = usage();
  test.say(std::to_string((after.cpu - before.cpu).count()));
  test.say(std::to_string(after.sleeps - before.sleeps));
  EXPECT_EQ(store.stats().held_elsewhere, 1U);
  EXPECT_EQ(test.hear(), "end");
});

/// Each holds a reference of another one, so all probe, and are probed.
class MembersIdleTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(SameHost, MembersIdleTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST_P(MembersIdleTest, FourIdleMembersTakeLessThanAHundredthOfACore) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take time of their own";
#endif
  constexpr std::uint32_t kMembers = 4;
  Ranks ranks("idle", {.size = kMembers, .variables = {{"HOLDFAST_SAME_HOST", GetParam()}}});
  Usage sum;
  for (std::uint32_t rank = 0; rank < kMembers; ++rank) {
    sum.cpu += Duration(number(ranks[rank].hear()));
    sum.sleeps += number(ranks[rank].hear());
  }
  for (std::uint32_t rank = 0; rank < kMembers; ++rank) ranks[rank].say("end");
  EXPECT_TRUE(ranks.all_good());
  EXPECT_LT(sum.cpu, kMost * slowness()) << sum.cpu / 1us << " us of CPU time in " << kIdle / 1s << " s";
  EXPECT_LT(sum.sleeps, kMembers * kMostSleeps) << "they sleep too often";
}

}  // namespace
}  // namespace holdfast::test
