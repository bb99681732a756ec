// What the benchmark programs measured, from their JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::cli {

/// A case as bench/measure.h reports it: medians, in the unit that `unit` names ("ns", "B/s", "/s"). Of other
/// benchmarks the real time.
struct BenchResult {
  std::string what;  ///< "get_remote/4096"
  std::string unit;
  double measured = 0;
  double limit = 0;  ///< measured in the same run; 0: there is none
  double ratio = 0;  ///< median of paired ratios measured / limit

  /// The counter that carries the goal ("goal_ns_at_most", "goal_ratio_at_most", "goal_ratio_at_least");
  /// empty where there is none.
  std::string goal_kind;
  double goal = 0;

  std::string error;  ///< why it could not be measured; empty if it was

  /// Nothing where there is no goal or no measurement.
  std::optional<bool> reached() const;
};

/// "get_remote/8" of "get_remote/8/iterations:15/manual_time": without how it is run.
std::string plain_name(const std::string& name);

/// The results in the JSON output of one program (Google Benchmark 1.7): medians of repetitions, or the only
/// repetition. Errors: invalid (not such an output).
Result<std::vector<BenchResult>> parse_results(const std::string& json);

/// Of what to_json() writes; another number where it means something else.
inline constexpr int kResultsFormat = 1;

/// For `--json`: an object with "format" and an array "results".
nlohmann::json to_json(const std::vector<BenchResult>& results);

/// One line a result: what, measured, limit, ratio, goal, reached; aligned.
std::string to_table(const std::vector<BenchResult>& results);

}  // namespace holdfast::cli
