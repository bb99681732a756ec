// How every benchmark here measures: the subject and its limit in turn, in short rounds of one run, so that
// what disturbs the machine disturbs both; reported are the medians and the median of the paired ratios.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::bench {

/// Time since construction.
class Stopwatch {
 public:
  Stopwatch() noexcept : start_(std::chrono::steady_clock::now()) {}
  double ns() const noexcept {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_;
};

/// The upper one of the two in the middle. `values` is not empty.
double median(std::vector<double> values);

/// What the numbers of a case are.
enum class Quantity : std::uint8_t {
  nanoseconds,  ///< an operation; ratio = measured / limit, the less the better
  bytes_per_s,  ///< ratio = measured / limit, the more the better
  per_s,        ///< operations a second; the same
};

/// What the case is expected to reach; none: it is shown for comparison.
struct Goal {
  enum class Kind : std::uint8_t { none, ns_at_most, ratio_at_most, ratio_at_least };
  Kind kind = Kind::none;
  double value = 0;

  static Goal ns_at_most(double value) { return {Kind::ns_at_most, value}; }
  static Goal ratio_at_most(double value) { return {Kind::ratio_at_most, value}; }
  static Goal ratio_at_least(double value) { return {Kind::ratio_at_least, value}; }
};

/// One round of measuring: the quantity, of one operation or as a rate.
using Round = std::function<Result<double>()>;

struct Case {
  Round limit;
  Round subject;
  /// Other ways to come to the limit. All are measured in every round, so none is held to what was the best
  /// at another time. The limit of every second round is the way with the best median in the others.
  std::vector<Round> other_limits;
};

/// Registers a Google Benchmark named `name`. `prepare` is called when it is first run. A repetition takes
/// `rounds` pairs; the counters are `measured`, `limit`, `ratio` and the goal (`goal_ns_at_most`,
/// `goal_ratio_at_most` or `goal_ratio_at_least`), the label names the quantity. An error ends the case with
/// its message.
struct CaseOptions {
  std::string name;
  Quantity quantity = Quantity::nanoseconds;
  Goal goal;
  int rounds = 15;
};
void add_case(const CaseOptions& options, std::function<Result<Case>()> prepare);

/// The main() of a benchmark program: five repetitions, aggregates only, unless the arguments say otherwise.
/// Runs the peer (peer.h) instead where the arguments ask for it. `add_cases` calls add_case. `finish` is
/// called when all have run, before static objects are destroyed.
int run_benchmarks(int argc, char** argv, const std::function<void()>& add_cases,
                   const std::function<void()>& finish = {});

}  // namespace holdfast::bench
