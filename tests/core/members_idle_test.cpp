// What a job costs that does nothing.
#include <sys/resource.h>

#include <charconv>
#include <thread>

#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

constexpr Duration kIdle = 5s;
// 1 % of a core, for all members together.
constexpr Duration kMost = kIdle / 100;

Duration cpu_time() {
  rusage usage{};
  EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
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
  const Duration before = cpu_time();
  std::this_thread::sleep_for(kIdle);  // what is measured
  test.say(std::to_string((cpu_time() - before).count()));
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
  Duration sum{};
  for (std::uint32_t rank = 0; rank < kMembers; ++rank) {
    const std::string heard = ranks[rank].hear();
    std::int64_t took = 0;
    const auto read = std::from_chars(heard.data(), heard.data() + heard.size(), took);
    ASSERT_EQ(read.ec, std::errc{}) << heard;
    sum += Duration(took);
  }
  for (std::uint32_t rank = 0; rank < kMembers; ++rank) ranks[rank].say("end");
  EXPECT_TRUE(ranks.all_good());
  EXPECT_LT(sum, kMost) << sum / 1us << " us of CPU time in " << kIdle / 1s << " s";
}

}  // namespace
}  // namespace holdfast::test
