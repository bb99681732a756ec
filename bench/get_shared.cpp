// How long does it take to get and release an object of another process on this host?
#include <memory>

#include "bench/get_cases.h"
#include "bench/peer.h"

namespace holdfast::bench {
namespace {

// As many as stay in the caches with their blocks and catalogue lines.
constexpr int kObjects = 64;

std::unique_ptr<Pair> job;

Result<GetFromMemory> prepare(std::uint64_t bytes) {
  if (!job) {
    HOLDFAST_TRY(job, Pair::open({.same_host = SameHost::memory, .arena_bytes = 64ULL << 20}));
  }
  HOLDFAST_TRY(std::vector<ObjectRef> refs, job->put({.count = kObjects, .bytes = bytes}));
  return GetFromMemory{&job->store(), std::move(refs)};
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(
      argc, argv, [] { add_get_cases("get_shared", Goal::ns_at_most(250), prepare); }, [] { job.reset(); });
}
