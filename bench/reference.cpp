// What does it cost to copy an ObjectRef and to drop the copy, in a process that holds the object already?
// The limit is the same with a std::shared_ptr.
#include <benchmark/benchmark.h>

#include <memory>
#include <optional>
#include <vector>

#include "bench/measure.h"
#include "bench/peer.h"

namespace holdfast::bench {
namespace {

// Operations a round: long against the clock, short against a time slice.
constexpr int kOperations = 20'000;
// As many as stay in the caches with what their copies share.
constexpr std::uint64_t kObjects = 64;

/// Copies and drops each in turn; nanoseconds for both.
template <class Handle>
double time_copies(const std::vector<Handle>& handles) {
  const Stopwatch watch;
  for (std::size_t i = 0, at = 0; i < kOperations; ++i, at = at + 1 == handles.size() ? 0 : at + 1) {
    Handle copy = handles[at];
    benchmark::DoNotOptimize(copy);
  }
  return watch.ns() / kOperations;
}

std::unique_ptr<Pair> job;

Result<Case> prepare(bool own) {
  if (!job) {
    HOLDFAST_TRY(job, Pair::open({.arena_bytes = 64ULL << 20}));
  }
  std::vector<ObjectRef> refs;
  if (own) {
    for (std::uint64_t i = 0; i < kObjects; ++i) {
      HOLDFAST_TRY(ObjectRef ref, job->store().put(std::vector<std::byte>(8)));
      refs.push_back(std::move(ref));
    }
  } else {
    HOLDFAST_TRY(refs, job->put({.count = kObjects, .bytes = 8}));
  }
  std::vector<std::shared_ptr<int>> pointers;
  for (std::uint64_t i = 0; i < kObjects; ++i) pointers.push_back(std::make_shared<int>(0));
  return Case{[pointers] { return time_copies(pointers); }, [refs] { return time_copies(refs); }};
}

void add_cases() {
  const auto add = [](const char* name, bool own) {
    add_case({.name = name, .goal = Goal::ns_at_most(20), .rounds = 200}, [own] { return prepare(own); });
  };
  add("reference/copy_drop/own", true);
  add("reference/copy_drop/other", false);
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(argc, argv, add_cases, [] { job.reset(); });
}
