// Proof that the simulated jobs can fail: each of these mistakes, made on purpose, is found within few seeds.
#include <gtest/gtest.h>

#include <cstdio>

#include "src/mutation.h"
#include "tests/sim/player.h"

namespace holdfast::sim::test {
namespace {

constexpr std::uint64_t kMostSeeds = 4000;

struct Mistake {
  Mutation mutation;
  const char* name;
};
#define MISTAKE(name) \
  Mistake { Mutation::name, #name }
constexpr Mistake kMistakes[] = {
    MISTAKE(skip_ledger_scan),
    MISTAKE(keep_header_on_free),
    MISTAKE(skip_identity_check),
    MISTAKE(forget_guard_of_token),
    MISTAKE(ignore_token_expiry),
    MISTAKE(apply_stale_drop),
    MISTAKE(lose_drops),
    MISTAKE(keep_holds_of_the_dead),
    MISTAKE(accept_another_incarnation),
    MISTAKE(keep_name_after_erase),
    MISTAKE(forget_waiter),
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
    MISTAKE(lose_parts),
};
#undef MISTAKE

TEST(Mutations, AreAllFound) {
  std::printf("%-28s %6s  %s\n", "mistake", "seeds", "first seen as");
  for (const Mistake& mistake : kMistakes) {
    active_mutation = mistake.mutation;
    std::string seen;
    std::uint64_t seed = 0;
    while (seen.empty() && seed < kMostSeeds) {
      const Played played = play(make_scenario(++seed));
      if (!played.violations.empty()) seen = played.violations.front();
    }
    active_mutation = Mutation::none;
    std::printf("%-28s %6llu  %.120s\n", mistake.name, static_cast<unsigned long long>(seed),
                seen.empty() ? "never" : seen.c_str());
    std::fflush(stdout);
    EXPECT_FALSE(seen.empty()) << mistake.name;
  }
}

TEST(Mutations, WithoutThemNothingIsFound) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed)
    EXPECT_EQ(play(make_scenario(seed)).violations, std::vector<std::string>()) << "seed " << seed;
}

}  // namespace
}  // namespace holdfast::sim::test
