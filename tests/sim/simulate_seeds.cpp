// simulate_seeds SEEDS [FIRST [STRIDE]]: plays the scenarios of many seeds; of the first that fails, prints
// what was violated and a short scenario as a test. Fails if one does.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "holdfast/base/log.h"
#include "tests/sim/player.h"
#include "tests/sim/shrink.h"

namespace {

using namespace holdfast::sim::test;

int run(std::uint64_t seeds, std::uint64_t first, std::uint64_t stride) {
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t events = 0, failed = 0;
  std::map<std::string, std::uint64_t> ended;
  for (std::uint64_t i = 0; i < seeds; ++i) {
    const std::uint64_t seed = first + i * stride;
    const Scenario scenario = make_scenario(seed);
    const Played played = play(scenario);
    events += played.events;
    for (const auto& [what, count] : played.ended) ended[what] += count;
    if (played.violations.empty()) continue;
    fmt::print("seed {} ({} members, {} steps):\n", seed, scenario.members, scenario.steps.size());
    for (const auto& violation : played.violations) fmt::print("  {}\n", violation);
    if (failed++ == 0) {
      const Scenario small = shrink(scenario);
      fmt::print("as a test:\n{}", as_test(small, fmt::format("Seed{}", seed)));
      for (const auto& violation : play(small).violations) fmt::print("// {}\n", violation);
    }
    std::fflush(stdout);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (std::getenv("SIMULATE_COUNTS") != nullptr)
    for (const auto& [what, count] : ended) fmt::print("{:>9}  {}\n", count, what);
  fmt::print("{} seeds from {}: {} failed; {:.1f} s, {:.2f} million events/s\n", seeds, first, failed,
             took.count(), static_cast<double>(events) / took.count() / 1e6);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || count > 4) {
    fmt::print(stderr, "usage: simulate_seeds SEEDS [FIRST [STRIDE]]\n");
    return 2;
  }
  holdfast::set_log_level(holdfast::LogLevel::off);  // full disks and the like are what scenarios are about
  const auto number = [&](int index, std::uint64_t otherwise) {
    return count > index ? std::strtoull(arguments[index], nullptr, 10) : otherwise;
  };
  return run(number(1, 0), number(2, 1), number(3, 1));
}
