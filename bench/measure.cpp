#include "bench/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "bench/peer.h"

namespace holdfast::bench {
namespace {

const char* name_of(Quantity quantity) {
  switch (quantity) {
    case Quantity::nanoseconds:
      return "ns";
    case Quantity::bytes_per_s:
      return "B/s";
    case Quantity::per_s:
      return "/s";
  }
  return "";
}

const char* counter_of(Goal::Kind kind) {
  switch (kind) {
    case Goal::Kind::none:
      return nullptr;
    case Goal::Kind::ns_at_most:
      return "goal_ns_at_most";
    case Goal::Kind::ratio_at_most:
      return "goal_ratio_at_most";
    case Goal::Kind::ratio_at_least:
      return "goal_ratio_at_least";
  }
  return nullptr;
}

struct Samples {
  std::vector<double> measured;
  std::vector<std::vector<double>> limits;  ///< of each way, round by round
};

std::vector<const Round*> limits_of(const Case& measured) {
  std::vector<const Round*> rounds = {&measured.limit};
  for (const Round& other : measured.other_limits) rounds.push_back(&other);
  return rounds;
}

/// The subject and all limits once; which comes first changes from round to round, so that none always finds
/// the caches another left.
Status measure_round(const Case& measured, std::size_t round, Samples& samples) {
  const std::vector<const Round*> limits = limits_of(measured);
  samples.limits.resize(limits.size());
  const std::size_t count = 1 + limits.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t turn = (round + i) % count;
    HOLDFAST_TRY(const double value, turn == limits.size() ? measured.subject() : (*limits[turn])());
    (turn == limits.size() ? samples.measured : samples.limits[turn]).push_back(value);
  }
  return {};
}

/// The way that came nearest to what is possible in every second round, from the first or from the second on.
std::size_t best_limit(const Samples& samples, Quantity quantity, std::size_t from) {
  std::vector<double> medians;
  for (const std::vector<double>& way : samples.limits) {
    std::vector<double> rounds;
    for (std::size_t round = from; round < way.size(); round += 2) rounds.push_back(way[round]);
    medians.push_back(median(std::move(rounds)));
  }
  const auto best = quantity == Quantity::nanoseconds ? std::min_element(medians.begin(), medians.end())
                                                      : std::max_element(medians.begin(), medians.end());
  return static_cast<std::size_t>(best - medians.begin());
}

/// The limit, round by round. Among dozens of ways one is always lucky: which is the best, the even rounds
/// say for the odd ones and the odd ones for the even.
std::vector<double> best_limits(const Samples& samples, Quantity quantity) {
  const std::size_t rounds = samples.measured.size();
  if (samples.limits.size() == 1 || rounds < 2) return samples.limits.front();
  const std::size_t best[] = {best_limit(samples, quantity, 1), best_limit(samples, quantity, 0)};
  std::vector<double> limits;
  for (std::size_t round = 0; round < rounds; ++round)
    limits.push_back(samples.limits[best[round % 2]][round]);
  return limits;
}

void run_case(benchmark::State& state, const CaseOptions& options, const Case& measured) {
  Samples samples;
  std::size_t round = 0;
  for ([[maybe_unused]] const auto unused : state) {
    if (const Status done = measure_round(measured, round++, samples); !done) {
      state.SkipWithError(done.error().message().c_str());
      return;
    }
    const double value = samples.measured.back();
    state.SetIterationTime(options.quantity == Quantity::nanoseconds ? value * 1e-9 : 1 / value);
  }
  const std::vector<double> limits = best_limits(samples, options.quantity);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < limits.size(); ++i) ratios.push_back(samples.measured[i] / limits[i]);
  state.counters["measured"] = median(samples.measured);
  state.counters["limit"] = median(limits);
  state.counters["ratio"] = median(std::move(ratios));
  if (const char* const counter = counter_of(options.goal.kind)) state.counters[counter] = options.goal.value;
  state.SetLabel(name_of(options.quantity));
}

}  // namespace

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void add_case(const CaseOptions& options, std::function<Result<Case>()> prepare) {
  // Shared by the repetitions: prepared once.
  auto prepared = std::make_shared<std::optional<Result<Case>>>();
  const auto run = [options, prepare = std::move(prepare), prepared](benchmark::State& state) {
    if (!*prepared) prepared->emplace(prepare());
    if (const Result<Case>& made = **prepared; made)
      run_case(state, options, *made);
    else
      state.SkipWithError(made.error().message().c_str());
  };
  benchmark::RegisterBenchmark(options.name.c_str(), run)->UseManualTime()->Iterations(options.rounds);
}

int run_benchmarks(int argc, char** argv, const std::function<void()>& add_cases,
                   const std::function<void()>& finish) {
  if (const std::optional<int> exit_code = run_as_peer(argc, argv)) return *exit_code;
  // Google Benchmark takes the last of two: what the user says goes over these.
  std::string repetitions = "--benchmark_repetitions=5",
              aggregates = "--benchmark_report_aggregates_only=true";
  std::vector<char*> arguments = {argv[0], repetitions.data(), aggregates.data()};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  add_cases();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  if (finish) finish();
  return 0;
}

}  // namespace holdfast::bench
