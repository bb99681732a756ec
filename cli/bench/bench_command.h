// `holdfast bench`: runs the benchmark programs and shows what they measured beside the limits and the goals.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace holdfast::cli {

struct BenchOptions {
  std::string filter;  ///< regular expression for the cases to run; empty: all
  bool quick = false;  ///< one repetition instead of five
  std::string json;    ///< file to write the results to, too; "-": to standard output instead of the table
  bool list = false;   ///< only print the names of the cases
};

/// The exit status: 0 if all was measured (reached or not), 1 if something could not be.
int run_bench(const BenchOptions& options);

/// Adds the subcommand; when it is called, its exit status goes to `exit_code`, which outlives `app`.
void add_bench_command(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
