#include "bench/get_cases.h"

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <utility>

#include "holdfast/base/checksum.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

// Operations a round: long against the clock, short against a time slice.
constexpr int kOperations = 500;

Result<double> time_gets(Store& store, const std::vector<ObjectRef>& refs, const GetOptions& options) {
  const Stopwatch watch;
  for (std::size_t i = 0, at = 0; i < kOperations; ++i, at = at + 1 == refs.size() ? 0 : at + 1) {
    HOLDFAST_TRY(const Pin pin, store.get(refs[at], 1s, options));
    benchmark::DoNotOptimize(pin.bytes().data());
  }
  return watch.ns() / kOperations;
}

double time_limit(std::span<const std::byte> checksummed) {
  std::atomic<std::uint64_t> announcement{0};
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < kOperations; ++i) {
    announcement.exchange(i, std::memory_order_seq_cst);
    if (!checksummed.empty()) benchmark::DoNotOptimize(checksum(checksummed));
  }
  return watch.ns() / kOperations;
}

}  // namespace

void add_get_cases(const std::string& prefix, const Goal& goal,
                   const std::function<Result<GetFromMemory>(std::uint64_t bytes)>& prepare) {
  for (const std::uint64_t bytes : {8, 1024})
    for (const Verify verify : {Verify::always, Verify::never}) {
      const bool verified = verify == Verify::always;
      const std::string name =
          prefix + '/' + std::to_string(bytes) + (verified ? "/verified" : "/unverified");
      add_case({.name = name, .goal = goal, .rounds = 300}, [=]() -> Result<Case> {
        HOLDFAST_TRY(const GetFromMemory from, prepare(bytes));
        GetOptions options;
        options.verify = verify;
        // The payload's checksum is taken of bytes as warm as those of the objects.
        const std::vector<std::byte> payload(verified ? bytes : 0);
        return Case{[payload] { return time_limit(payload); },
                    [from, options] { return time_gets(*from.store, from.refs, options); }};
      });
    }
}

}  // namespace holdfast::bench
