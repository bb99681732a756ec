// How long does it take until four ranks with arenas of 4 GiB have each put their first object: from the
// start of the rank's process, and from its call of Store::open? Reported is the slowest rank. The limit is
// four processes that do no more than load libfabric and ask it for its providers.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/spawn.h"
#include "holdfast/fabric/ofi.h"
#include "holdfast/holdfast.h"

namespace holdfast::bench {
namespace {

constexpr std::uint32_t kRanks = 4;
constexpr std::uint64_t kArena = 4ULL << 30;

// Arguments of a rank: this, "open" or "providers", the steady clock before it was forked.
constexpr std::string_view kRankArgument = "--holdfast-bench-open";

std::int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

/// Nanoseconds of a rank, or of the slowest.
struct Times {
  std::int64_t from_start = 0;
  std::int64_t from_call = 0;
};

Status open_and_put() {
  HOLDFAST_TRY(StoreOptions options, StoreOptions::from_environment());
  options.arena.bytes = kArena;
  HOLDFAST_TRY(Store opened, Store::open(options));
  static Store store = std::move(opened);  // until this rank is killed: the others still join
  const std::uint64_t value = 1;
  HOLDFAST_DO(store.put(std::as_bytes(std::span(&value, 1))));
  return {};
}

Status ask_for_providers() {
  HOLDFAST_DO(fabric::probe_ofi({}));
  return {};
}

/// A rank's main().
int run_rank(std::string_view what, std::int64_t started) {
  const std::int64_t called = now_ns();
  const Status done = what == "open" ? open_and_put() : ask_for_providers();
  const std::int64_t ended = now_ns();
  std::ostringstream line;
  line << ended - started << ' ' << ended - called << ' ' << (done ? "" : done.error().message()) << '\n';
  write_all(kChildSocket, line.str());
  char end;
  (void)!::read(kChildSocket, &end, 1);  // until the parent has heard from all
  ::_exit(done ? 0 : 1);
}

Result<Times> time_of(int socket) {
  std::string text;
  char buffer[4096];
  while (text.find('\n') == std::string::npos) {
    const ssize_t got = ::read(socket, buffer, sizeof buffer);
    if (got <= 0) return fail(Code::system, "bench_open", "a rank ended early");
    text.append(buffer, static_cast<std::size_t>(got));
  }
  std::istringstream in(text);
  Times times;
  in >> times.from_start >> times.from_call >> std::ws;
  std::string error;
  if (std::getline(in, error)) return fail(Code::system, "bench_open", error);
  return times;
}

Result<Times> slowest(const std::vector<Spawned>& ranks) {
  Times most;
  for (const Spawned& rank : ranks) {
    HOLDFAST_TRY(const Times times, time_of(rank.socket.get()));
    most.from_start = std::max(most.from_start, times.from_start);
    most.from_call = std::max(most.from_call, times.from_call);
  }
  return most;
}

Result<Times> run_job(const char* what) {
  HOLDFAST_TRY(const RendezvousDirectory directory, RendezvousDirectory::create());
  std::vector<Spawned> ranks;
  Status spawned;
  for (std::uint32_t rank = 0; rank < kRanks && spawned; ++rank) {
    auto one =
        spawn_rank(directory, {rank, kRanks}, {std::string(kRankArgument), what, std::to_string(now_ns())});
    if (one)
      ranks.push_back(std::move(*one));
    else
      spawned = tl::unexpected(one.error());
  }
  auto times = spawned ? slowest(ranks) : Result<Times>(tl::unexpected(spawned.error()));
  for (const Spawned& rank : ranks) end_rank(rank.pid);
  return times;
}

Result<Case> prepare(std::int64_t Times::*which) {
  const auto round = [which](const char* what) {
    return [=]() -> Result<double> {
      HOLDFAST_TRY(const Times times, run_job(what));
      return static_cast<double>(times.*which);
    };
  };
  return Case{round("providers"), round("open")};
}

void add_cases() {
  const Goal goal = Goal::ns_at_most(300e6);
  // With the loading of the libraries, of which one sleeps for 0.2 s before main(): no goal, nothing here can
  // mend it.
  add_case({.name = "open/from_process_start", .rounds = 3}, [] { return prepare(&Times::from_start); });
  add_case({.name = "open/from_call", .goal = goal, .rounds = 3}, [] { return prepare(&Times::from_call); });
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  if (argc == 4 && argv[1] == kRankArgument) return run_rank(argv[2], std::atoll(argv[3]));
  return run_benchmarks(argc, argv, add_cases);
}
