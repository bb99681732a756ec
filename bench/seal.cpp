// How long does it take to make an object of 1 KiB that is written in place? The limit is the checksum of its
// bytes.
#include <benchmark/benchmark.h>

#include <chrono>
#include <optional>
#include <vector>

#include "bench/measure.h"
#include "bench/peer.h"
#include "holdfast/base/checksum.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBytes = 1024;
constexpr int kOperations = 200;

std::optional<Store> store;

Result<double> time_seals() {
  std::vector<ObjectRef> refs;
  refs.reserve(kOperations);
  const Stopwatch watch;
  for (int i = 0; i < kOperations; ++i) {
    HOLDFAST_TRY(Draft draft, store->draft(kBytes));
    benchmark::DoNotOptimize(draft.bytes().data());
    HOLDFAST_TRY(ObjectRef ref, std::move(draft).seal());
    refs.push_back(std::move(ref));
  }
  const double ns = watch.ns() / kOperations;
  for (const ObjectRef& ref : refs) HOLDFAST_DO(store->erase(ref, 1s));
  return ns;
}

double time_checksums() {
  // As many different bytes as the drafts have.
  static const std::vector<std::byte> bytes(kBytes * kOperations, std::byte{1});
  const Stopwatch watch;
  for (int i = 0; i < kOperations; ++i)
    benchmark::DoNotOptimize(
        checksum(std::span(bytes).subspan(static_cast<std::size_t>(i) * kBytes, kBytes)));
  return watch.ns() / kOperations;
}

Result<Case> prepare() {
  HOLDFAST_TRY(Store opened, open_alone(256ULL << 20));
  store.emplace(std::move(opened));
  return Case{time_checksums, time_seals};
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(
      argc, argv,
      [] { add_case({.name = "seal/1024", .goal = Goal::ns_at_most(600), .rounds = 300}, prepare); },
      [] { store.reset(); });
}
