#include "tests/sim/shrink.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "holdfast/base/check.h"
#include "tests/sim/player.h"

namespace holdfast::sim::test {
namespace {

class Shrinker {
 public:
  Shrinker(Scenario scenario, unsigned most_plays) : best_(std::move(scenario)), plays_left_(most_plays) {}

  Scenario shrink() {
    leave_out_steps();
    simplify();
    leave_out_steps();
    return std::move(best_);
  }

 private:
  bool take(const Scenario& candidate) {
    if (plays_left_ == 0) return false;
    --plays_left_;
    if (!fails(candidate)) return false;
    best_ = candidate;
    return true;
  }

  /// Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002), leaving
  /// out only.
  void leave_out_steps() {
    std::size_t part = std::max<std::size_t>(1, best_.steps.size() / 2);
    for (;;) {
      bool shorter = false;
      for (std::size_t from = 0; from < best_.steps.size();) {
        Scenario candidate = best_;
        const auto begin = candidate.steps.begin() + static_cast<std::ptrdiff_t>(from);
        candidate.steps.erase(begin,
                              begin + static_cast<std::ptrdiff_t>(std::min(part, best_.steps.size() - from)));
        if (take(candidate))
          shorter = true;
        else
          from += part;
      }
      if (part == 1 && !shorter) return;
      part = shorter ? part : part / 2;
      part = std::clamp<std::size_t>(part, 1, std::max<std::size_t>(1, best_.steps.size() / 2));
    }
  }

  void simplify() {
    const auto attempt = [this](auto change) {
      Scenario candidate = best_;
      change(candidate);
      take(candidate);
    };
    attempt([](Scenario& s) { s.jitter_us = 0; });
    attempt([](Scenario& s) { s.straggler_one_in = 0; });
    attempt([](Scenario& s) { s.verify_all = s.checksums = true; });
    attempt([](Scenario& s) { s.member_timeout_ms = 0; });
    attempt([](Scenario& s) { s.scatter = false; });
    attempt([](Scenario& s) { s.needs_target = false; });
    attempt([](Scenario& s) { s.nodes = 1; });
    attempt([](Scenario& s) { s.gather = 1; });
    attempt([](Scenario& s) { s.s3_fifo = false; });
    attempt([](Scenario& s) { s.share_memory = false; });
    attempt([](Scenario& s) { s.members_per_host = 1; });
    attempt([](Scenario& s) { s.piece_bytes = 4096; });
    std::uint32_t used = 0;
    for (const Step& step : best_.steps) used = std::max(used, step.member + 1);
    attempt([used](Scenario& s) { s.members = std::max<std::uint32_t>(2, used); });
  }

  Scenario best_;
  unsigned plays_left_;
};

}  // namespace

bool fails(const Scenario& scenario, const char* before) {
  constexpr unsigned kMostSeconds = 600;  // of real time
  std::fflush(stdout);
  const pid_t player = ::fork();
  HOLDFAST_CHECK(player >= 0, "another process can be made");
  if (player == 0) {
    ::alarm(kMostSeconds);
    const Played played = play(scenario);
    if (before != nullptr)
      for (const std::string& violation : played.violations) fmt::print("{}{}\n", before, violation);
    std::fflush(stdout);
    ::_exit(played.violations.empty() ? 0 : 1);
  }
  int status = 0;
  HOLDFAST_CHECK(::waitpid(player, &status, 0) == player, "a child can be waited for");
  if (before != nullptr && WIFSIGNALED(status))
    fmt::print("{}the process was ended by signal {}\n", before, WTERMSIG(status));
  return status != 0;
}

Scenario shrink(Scenario scenario, unsigned most_plays) {
  return Shrinker(std::move(scenario), most_plays).shrink();
}

}  // namespace holdfast::sim::test
