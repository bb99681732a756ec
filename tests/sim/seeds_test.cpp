// Whole jobs with all that can go wrong, by the hundred: under the sanitizers, too. The tests sim.seeds play
// 2,900, ci/simulate as many as wanted.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "holdfast/base/random.h"
#include "tests/sim/player.h"
#include "tests/sim/shrink.h"

namespace holdfast::sim::test {
namespace {

constexpr std::uint64_t kSeeds = 100;

TEST(SimulatedJobs, KeepTheirPromisesWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Scenario scenario = make_scenario(seed);
    const Played played = play(scenario);
    if (played.violations.empty()) continue;
    for (const std::string& violation : played.violations)
      ADD_FAILURE() << "seed " << seed << ": " << violation;
    FAIL() << "as a test:\n" << as_test(shrink(scenario, 300), "Seed" + std::to_string(seed));
  }
}

/// Takes memory between two plays, so that things lie elsewhere.
TEST(SimulatedJobs, TheSameSeedGivesTheSameRunWhereverThingsLie) {
  std::vector<std::unique_ptr<std::byte[]>> kept;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Played once = play(make_scenario(seed));
    for (int i = 0; i < 100; ++i) kept.push_back(std::make_unique<std::byte[]>(random_u64() % 3'000 + 1));
    const Played again = play(make_scenario(seed));
    EXPECT_EQ(once.trace_hash, again.trace_hash) << "seed " << seed;
    EXPECT_EQ(once.events, again.events) << "seed " << seed;
  }
  EXPECT_NE(play(make_scenario(1)).trace_hash, play(make_scenario(2)).trace_hash);
}

TEST(SimulatedJobs, EveryCompilerGivesTheseHashes) {
  // Change when members do anything else than before, or the network does: then put the new ones here, the
  // same for every compiler.
  EXPECT_EQ(play(make_scenario(1)).trace_hash, 13676110368999036758U);
  EXPECT_EQ(play(make_scenario(2)).trace_hash, 16043698406705983140U);
  EXPECT_EQ(play(make_scenario(3)).trace_hash, 3984012715996499325U);
  EXPECT_EQ(play(make_scenario(4)).trace_hash, 11585632503264927116U);  // 23 members, some of which die
}

/// What a scenario of each kind does in fact: one that does nothing would find nothing.
TEST(SimulatedJobs, DoWhatTheyAreMeantTo) {
  std::map<std::string, std::uint64_t> ended;
  std::set<Act> acts;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Scenario scenario = make_scenario(seed);
    for (const Step& step : scenario.steps) acts.insert(step.act);
    for (const auto& [what, count] : play(scenario).ended) ended[what] += count;
  }
  for (std::size_t act = 0; act <= static_cast<std::size_t>(Act::barrier); ++act)
    EXPECT_TRUE(acts.contains(static_cast<Act>(act))) << to_string(static_cast<Act>(act));
  for (const char* const what : {"put ok",
                                 "put exists",
                                 "seal ok",
                                 "get ok",
                                 "get timed_out",
                                 "get owner_lost",
                                 "get_range ok",
                                 "get_into ok",
                                 "get_many ok",
                                 "get_name ok",
                                 "get_name not_found",
                                 "get_name timed_out",
                                 "lookup ok",
                                 "pin ok",
                                 "wait ok",
                                 "pass ok",
                                 "pass expired",
                                 "pass timed_out",
                                 "draft full",
                                 "get full",
                                 "parts ok",
                                 "put owner_lost",
                                 "erase ok",
                                 "erase_name ok",
                                 "call_off ok",
                                 "call_off timed_out",
                                 "barrier ok",
                                 "barrier timed_out"})
    EXPECT_GT(ended[what], 0U) << what;
}

}  // namespace
}  // namespace holdfast::sim::test
