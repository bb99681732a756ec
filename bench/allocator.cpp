// The allocator against malloc in the same run. Goal: at most 60 ns for a small block and its return.
#include "holdfast/numa/allocator.h"

#include <benchmark/benchmark.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

namespace {

using holdfast::numa::Allocator;
using holdfast::numa::Extent;
using namespace holdfast::literals;

constexpr std::uint64_t kRange = 4_GiB;

/// How full the allocator was at the end, as counters beside the time.
void report(benchmark::State& state, const Allocator& allocator) {
  const auto stats = allocator.stats();
  state.counters["used_MiB"] = static_cast<double>(stats.bytes_used >> 20);
  state.counters["cached_KiB"] = static_cast<double>(stats.bytes_cached >> 10);
}

void pair_holdfast(benchmark::State& state) {
  static std::unique_ptr<Allocator> allocator;
  if (state.thread_index() == 0) allocator = std::make_unique<Allocator>(kRange);
  const auto bytes = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    const auto extent = allocator->allocate(bytes);
    benchmark::DoNotOptimize(extent->offset);
    allocator->free(*extent);
  }
  if (state.thread_index() == 0) report(state, *allocator);
}
BENCHMARK(pair_holdfast)->Name("allocator/pair")->Arg(64)->Arg(1024)->Arg(4096)->Arg(8192)->Arg(1 << 20);
BENCHMARK(pair_holdfast)->Name("allocator/pair")->Arg(1024)->Threads(2)->UseRealTime();

void pair_malloc(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* const block = std::malloc(bytes);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
}
BENCHMARK(pair_malloc)->Name("allocator/pair_malloc")->Arg(64)->Arg(1024)->Arg(4096)->Arg(8192)->Arg(1 << 20);
BENCHMARK(pair_malloc)->Name("allocator/pair_malloc")->Arg(1024)->Threads(2)->UseRealTime();

/// Sizes drawn beforehand, so that only the allocator is timed: small ones of 64 B to 4 KiB, or mixed ones
/// of 64 B to 64 MiB, as many in each doubling.
std::vector<std::uint64_t> sizes(double least_bits, double most_bits) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> bits(least_bits, most_bits);
  std::vector<std::uint64_t> drawn(1 << 16);
  for (std::uint64_t& size : drawn) size = static_cast<std::uint64_t>(std::exp2(bits(random)));
  return drawn;
}

/// A set of live blocks; each step replaces a random one. For malloc the blocks are not touched, either.
template <class Allocate, class Free>
void churn(benchmark::State& state, const std::vector<std::uint64_t>& drawn, std::size_t live,
           Allocate allocate, Free free) {
  std::vector<decltype(allocate(64))> blocks;
  for (std::size_t i = 0; i < live; ++i) blocks.push_back(allocate(drawn[i % drawn.size()]));
  std::minstd_rand random(2);
  std::size_t next = 0;
  for (auto _ : state) {
    auto& block = blocks[random() % live];
    free(block);
    block = allocate(drawn[next++ % drawn.size()]);
    benchmark::DoNotOptimize(block);
  }
  for (auto& block : blocks) free(block);
}

void churn_holdfast(benchmark::State& state, double most_bits, std::size_t live) {
  Allocator allocator(kRange);
  churn(
      state, sizes(6, most_bits), live, [&](std::uint64_t bytes) { return *allocator.allocate(bytes); },
      [&](const Extent& extent) { allocator.free(extent); });
  report(state, allocator);
}
BENCHMARK_CAPTURE(churn_holdfast, small, 12.0, std::size_t{100'000})->Name("allocator/churn/small");
BENCHMARK_CAPTURE(churn_holdfast, mixed, 26.0, std::size_t{300})->Name("allocator/churn/mixed");

void churn_malloc(benchmark::State& state, double most_bits, std::size_t live) {
  churn(
      state, sizes(6, most_bits), live, [](std::uint64_t bytes) { return std::malloc(bytes); },
      [](void* block) { std::free(block); });
}
BENCHMARK_CAPTURE(churn_malloc, small, 12.0, std::size_t{100'000})->Name("allocator/churn_malloc/small");
BENCHMARK_CAPTURE(churn_malloc, mixed, 26.0, std::size_t{300})->Name("allocator/churn_malloc/mixed");

}  // namespace
