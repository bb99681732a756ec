// simulate_seeds SEEDS [FIRST [STRIDE]]: plays the scenarios of many seeds; of the first that fails, prints
// what was violated and a short scenario as a test. Fails if one does.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string>

#include "holdfast/base/log.h"
#include "tests/sim/player.h"
#include "tests/sim/shrink.h"

namespace {

using namespace holdfast::sim::test;

volatile std::uint64_t playing = 0;

/// A check that fails, or a fault, ends the process: it says by which seed.
void say_seed(int signal) {
  char line[64] = "the process was ended by seed ";
  char* const end = std::to_chars(line + 30, line + 60, std::uint64_t{playing}).ptr;
  *end = '\n';
  [[maybe_unused]] const ssize_t said =
      ::write(STDERR_FILENO, line, static_cast<std::size_t>(end - line) + 1);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

int run(std::uint64_t seeds, std::uint64_t first, std::uint64_t stride) {
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t events = 0, failed = 0;
  std::map<std::string, std::uint64_t> ended;
  for (std::uint64_t i = 0; i < seeds; ++i) {
    const std::uint64_t seed = first + i * stride;
    playing = seed;
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
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) ::signal(signal, say_seed);
  return run(numbers[0], numbers[1], numbers[2]);
}
