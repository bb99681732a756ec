// simulate_seeds SEEDS [FIRST [STRIDE]]: plays the scenarios of many seeds, each in a process of its own; of
// the first that fails, prints what was violated and a short scenario as a test. Fails if one does.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <string>

#include "holdfast/base/log.h"
#include "tests/sim/shrink.h"

namespace {

using namespace holdfast::sim::test;

int run(std::uint64_t seeds, std::uint64_t first, std::uint64_t stride) {
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t failed = 0;
  for (std::uint64_t i = 0; i < seeds; ++i) {
    const std::uint64_t seed = first + i * stride;
    const Scenario scenario = make_scenario(seed);
    if (!fails(scenario, fmt::format("seed {}: ", seed).c_str())) continue;
    if (failed++ == 0) {
      const Scenario small = shrink(scenario);
      fmt::print("as a test:\n{}", as_test(small, fmt::format("Seed{}", seed)));
      (void)fails(small, "// ");
    }
    std::fflush(stdout);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  fmt::print("{} seeds from {}: {} failed; {:.1f} s\n", seeds, first, failed, took.count());
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  std::uint64_t numbers[] = {0, 1, 1};  // how many, the first, and from each to the next
  bool good = count >= 2 && count <= 4;
  for (int i = 1; good && i < count; ++i) {
    const std::string_view text = arguments[i];
    const auto read = std::from_chars(text.begin(), text.end(), numbers[i - 1]);
    good = read.ec == std::errc() && read.ptr == text.end();
  }
  if (!good || numbers[0] == 0) {
    fmt::print(stderr, "usage: simulate_seeds SEEDS [FIRST [STRIDE]]\n");
    return 2;
  }
  holdfast::set_log_level(holdfast::LogLevel::off);  // full disks and the like are what scenarios are about
  return run(numbers[0], numbers[1], numbers[2]);
}
