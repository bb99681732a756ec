// Proof that the simulated jobs can fail: each of these mistakes, made on purpose, is found within few seeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "holdfast/base/log.h"
#include "src/mutation.h"
#include "tests/sim/player.h"
#include "tests/sim/shrink.h"

namespace holdfast::sim::test {
namespace {

constexpr std::uint64_t kMostSeeds = 2900;  // as many as the tests sim.seeds play

struct Mistake {
  Mutation mutation;
  const char* name;
  std::uint64_t from = 1;  ///< the seed to begin with, of kMostSeeds that follow each other in a ring
};
#define MISTAKE(name, ...) \
  Mistake { Mutation::name, #name __VA_OPT__(, ) __VA_ARGS__ }
constexpr Mistake kMistakes[] = {
    MISTAKE(skip_ledger_scan),
    MISTAKE(keep_header_on_free),
    MISTAKE(skip_identity_check),
    MISTAKE(forget_guard_of_token, 230),
    MISTAKE(ignore_token_expiry),
    MISTAKE(apply_stale_drop),
    MISTAKE(lose_drops),
    MISTAKE(keep_holds_of_the_dead),
    MISTAKE(keep_names_of_the_dead),
    MISTAKE(accept_another_incarnation),
    MISTAKE(keep_names_of_the_silent),
    MISTAKE(no_withdrawal, 1760),
    MISTAKE(keep_name_after_erase),
    MISTAKE(forget_waiter),
    MISTAKE(skip_generation_check),
    MISTAKE(no_second_look),
    MISTAKE(no_hold_before_redeem),
    MISTAKE(ignore_deadline),
    MISTAKE(name_overwrites),
    MISTAKE(leak_unsealed_draft),
    MISTAKE(free_before_written),
    MISTAKE(leave_under_pins),
    MISTAKE(forget_restore_waiters),
    MISTAKE(restored_before_read),
    MISTAKE(free_copy_on_disk),
    MISTAKE(keep_dead_copies),
    MISTAKE(stay_spoiled),
    MISTAKE(skip_disk_checksum, 250),
    MISTAKE(unchecked_runs),
    MISTAKE(lose_parts),
};
#undef MISTAKE

TEST(Mutations, AreAllFound) {
  set_log_level(LogLevel::off);  // disks that fill up and the like are what scenarios are about
  // Some are seen in few scenarios. Where those begin is said, which saves minutes; it is found without, too.
  std::printf("%-28s %6s %6s  %s\n", "mistake", "from", "seeds", "first seen as");
  for (const Mistake& mistake : kMistakes) {
    active_mutation = mistake.mutation;
    std::string seen;
    std::uint64_t seed = 0, played_seeds = 0;
    while (seen.empty() && played_seeds < kMostSeeds) {
      seed = 1 + (mistake.from - 1 + played_seeds++) % kMostSeeds;
      const Played played = play(make_scenario(seed));
      if (!played.violations.empty()) seen = played.violations.front();
    }
    active_mutation = Mutation::none;
    EXPECT_EQ(play(make_scenario(seed)).violations, std::vector<std::string>()) << "without the mistake";
    std::printf("%-28s %6llu %6llu  %.120s\n", mistake.name, static_cast<unsigned long long>(mistake.from),
                static_cast<unsigned long long>(played_seeds), seen.empty() ? "never" : seen.c_str());
    std::fflush(stdout);
    EXPECT_FALSE(seen.empty()) << mistake.name;
  }
}

/// What a failing seed is made into: shorter, it fails still, and can be pasted in.
TEST(Mutations, AFailingScenarioIsMadeShort) {
  set_log_level(LogLevel::off);
  active_mutation = Mutation::forget_waiter;
  std::uint64_t seed = 1;
  while (seed < 100 && play(make_scenario(seed)).violations.empty()) ++seed;
  const Scenario whole = make_scenario(seed), small = shrink(whole, 500);
  EXPECT_FALSE(play(small).violations.empty());
  EXPECT_LT(small.steps.size() * 5, whole.steps.size());
  active_mutation = Mutation::none;
  EXPECT_EQ(play(small).violations, std::vector<std::string>());
  const std::string text = as_test(small, "Short");
  EXPECT_NE(text.find("Short"), std::string::npos);
  EXPECT_GT(std::ranges::count(text, '\n'), static_cast<std::ptrdiff_t>(small.steps.size()));
}

}  // namespace
}  // namespace holdfast::sim::test
