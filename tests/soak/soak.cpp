// A member of a soak, to be started as all ranks of a job (soak.py does): rounds of random traffic, after
// each of which everything is let go and nothing may be left.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <barrier>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "tests/soak/books.h"
#include "tests/soak/traffic.h"

namespace holdfast::soak {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kThreads = 2;
// Until all ranks have come, or everything has gone, on a machine that does much else.
constexpr Duration kPatience = 120s;

struct Plan {
  std::string meet;  ///< directory in which the ranks wait for each other
  std::uint64_t seed = 1;
  std::uint32_t rounds = 3;
  std::uint64_t round_ms = 5000;
  std::optional<std::uint32_t> victim;  ///< is killed in the second round; kAllMembers: all are
};
constexpr std::uint32_t kFatalRound = 1;
constexpr const char* kFault = "fault";  ///< left there by who has found one: the others end, too

class Member {
 public:
  Member(Store store, Plan plan, Collect collect)
      : store_(std::move(store)), plan_(std::move(plan)), collect_(collect) {}

  int run() {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < kThreads; ++i) threads.emplace_back([this, i] { serve(i); });
    for (std::uint32_t round = 0; round < plan_.rounds; ++round) {
      std::jthread killer;
      if (round == kFatalRound && (plan_.victim == kAllMembers || plan_.victim == store_.rank()))
        killer = std::jthread([this] { die_in_time(); });
      start_ = real_clock().now();
      turn_.arrive_and_wait();  // traffic begins
      turn_.arrive_and_wait();  // and has ended
      come_to_rest(round);
    }
    threads.clear();
    say("clean", Books::of(store_));
    meet("end");
    if (const Status closed = store_.close(); !closed) fault(closed.error().message());
    return 0;
  }

 private:
  /// A worker: its traffic, round by round.
  void serve(std::uint32_t thread) {
    std::uint64_t arena = 0;
    for (const NodeStats& node : store_.stats().nodes) arena += node.segment.bytes;
    Traffic traffic(store_,
                    {.seed = plan_.seed * 1000 + store_.rank() * kThreads + thread,
                     .thread = thread,
                     .most_held_bytes = arena,  // by all threads twice the arena, and what others hold
                     .most_pinned_bytes = arena / 8 / kThreads,
                     .with_parts = collect_ == Collect::eager});
    for (std::uint32_t round = 0; round < plan_.rounds; ++round) {
      turn_.arrive_and_wait();
      const auto victim = round >= kFatalRound ? plan_.victim : std::nullopt;
      traffic.run(start_ + std::chrono::milliseconds(plan_.round_ms), victim);
      traffic.let_go();
      if (victim) traffic.erase_names_of(*victim);
      {
        const std::lock_guard lock(mutex_);
        totals_ += traffic.take_totals();
      }
      turn_.arrive_and_wait();
    }
  }

  /// In the middle of whatever the other threads do.
  void die_in_time() {
    const std::uint64_t after_ms = mix64(plan_.seed + store_.rank()) % plan_.round_ms;
    std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
    ::kill(::getpid(), SIGKILL);
  }

  void come_to_rest(std::uint32_t round) {
    meet(fmt::format("round{}", round), round);
    const Deadline deadline = Deadline::after(real_clock(), kPatience);
    Books books = Books::of(store_);
    for (; !books.at_rest(); books = Books::of(store_)) {
      if (deadline.passed(real_clock())) fault("something is left: " + books.text());
      std::this_thread::sleep_for(20ms);
    }
    meet(fmt::format("rest{}", round), round);
    books = Books::of(store_);
    say(fmt::format("round {}", round), books);
    // The first round makes what stays: endpoints, threads, tables. The buffers of the spill files come with
    // the first spill, in whichever round that is, and connections with the first message, some of them in
    // the second round.
    const bool spilled = store_.stats().spills > 0;
    if (round == 0) first_ = books;
    if (round == 1 || spilled != spilled_) first_.heap_bytes = std::max(first_.heap_bytes, books.heap_bytes);
    if (round == 1) first_.sockets = std::max(first_.sockets, books.sockets);
    spilled_ = spilled;
    if (const std::string what = grown(first_, books, store_.size()); !what.empty())
      fault("grown since the first round: " + what);
    if (store_.stats().corrupt != 0) fault("checksums failed");
    meet(fmt::format("seen{}", round), round);
  }

  /// All that live have come this far.
  void meet(const std::string& point, std::uint32_t round = kFatalRound) {
    namespace fs = std::filesystem;
    const auto mark = [&](std::uint32_t rank) {
      return fs::path(plan_.meet) / fmt::format("{}.{}", point, rank);
    };
    std::ofstream(mark(store_.rank())).flush();
    const Deadline deadline = Deadline::after(real_clock(), kPatience);
    for (std::uint32_t rank = 0; rank < store_.size(); ++rank) {
      if (round >= kFatalRound && plan_.victim == rank) continue;
      while (!fs::exists(mark(rank))) {
        if (fs::exists(fs::path(plan_.meet) / kFault)) std::_Exit(1);
        if (deadline.passed(real_clock())) fault(fmt::format("rank {} did not come to {}", rank, point));
        std::this_thread::sleep_for(5ms);
      }
    }
  }

  void say(const std::string& what, const Books& books) {
    const Stats stats = store_.stats();
    const std::lock_guard lock(mutex_);
    fmt::print(
        "soak: rank {} {}: {} operations, {}, {} tokens, {} full, {} lost, {} spilled, {} restored, {} "
        "evicted, {} "
        "moved; {}\n",
        store_.rank(), what, totals_.operations, format_bytes(totals_.bytes), totals_.tokens, totals_.full,
        totals_.lost, stats.spills, stats.restores, stats.evictions, stats.moved, books.text());
    std::fflush(stdout);
  }

  [[noreturn]] void fault(const std::string& what) const {
    fmt::print(stderr, "soak: rank {} seed {}: {}\n", store_.rank(), plan_.seed, what);
    std::fflush(stderr);
    std::ofstream(std::filesystem::path(plan_.meet) / kFault).flush();
    std::_Exit(1);
  }

  Store store_;
  Plan plan_;
  Collect collect_;
  TimePoint start_;
  std::barrier<> turn_{kThreads + 1};
  std::mutex mutex_;
  Totals totals_;
  Books first_;
  bool spilled_ = false;  ///< by the end of the round before
};

Result<int> run(const Plan& plan) {
  HOLDFAST_TRY(StoreOptions options, StoreOptions::from_environment());
  options.reading_endpoints = kThreads;  // all opened in the first round
  HOLDFAST_TRY(Store store, Store::open(options));
  return Member(std::move(store), plan, options.lifetime.collect).run();
}

}  // namespace
}  // namespace holdfast::soak

int main(int argc, char** argv) {
  using namespace holdfast::soak;
  Plan plan;
  CLI::App app("Random traffic by one member of a job; after each round nothing may be left.");
  app.add_option("--meet", plan.meet, "directory in which the ranks wait for each other")->required();
  app.add_option("--seed", plan.seed, "of everything that is random");
  app.add_option("--rounds", plan.rounds, "of traffic");
  app.add_option("--round-ms", plan.round_ms, "length of one");
  app.add_option("--victim", plan.victim, "rank that is killed in the second round");
  app.add_flag_callback(
      "--all-die", [&plan] { plan.victim = kAllMembers; }, "all ranks are killed then");
  CLI11_PARSE(app, argc, argv);
  const auto ended = run(plan);
  if (!ended) fmt::print(stderr, "soak: {}\n", ended.error().message());
  return ended ? *ended : 1;
}
