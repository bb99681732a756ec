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
  std::vector<double> measured, limits, ratios;
};

/// A pair; which comes first alternates, so that neither always finds the caches the other left.
Status measure_pair(const Case& subject_and_limit, bool limit_first, Samples& samples) {
  double measured = 0, limit = 0;
  for (const bool now_limit : {limit_first, !limit_first}) {
    HOLDFAST_TRY(const double value, now_limit ? subject_and_limit.limit() : subject_and_limit.subject());
    (now_limit ? limit : measured) = value;
  }
  samples.measured.push_back(measured);
  samples.limits.push_back(limit);
  samples.ratios.push_back(measured / limit);
  return {};
}

void run_case(benchmark::State& state, const CaseOptions& options, const Case& measured) {
  Samples samples;
  bool limit_first = true;
  for ([[maybe_unused]] const auto unused : state) {
    if (const Status done = measure_pair(measured, limit_first, samples); !done) {
      state.SkipWithError(done.error().message().c_str());
      return;
    }
    limit_first = !limit_first;
    const double value = samples.measured.back();
    state.SetIterationTime(options.quantity == Quantity::nanoseconds ? value * 1e-9 : 1 / value);
  }
  state.counters["measured"] = median(std::move(samples.measured));
  state.counters["limit"] = median(std::move(samples.limits));
  state.counters["ratio"] = median(std::move(samples.ratios));
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
