#include "cli/bench/bench_command.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "cli/bench/programs.h"
#include "cli/bench/results.h"
#include "holdfast/fabric/ofi.h"
#include "holdfast/options.h"

namespace holdfast::cli {
namespace {

constexpr std::string_view kOperation = "holdfast bench";

std::vector<std::string> arguments_for(const BenchOptions& options) {
  std::vector<std::string> arguments;
  if (!options.filter.empty()) arguments.push_back("--benchmark_filter=" + options.filter);
  if (options.quick) arguments.emplace_back("--benchmark_repetitions=1");
  return arguments;
}

/// The names of the program's cases that the filter lets through.
Result<std::vector<std::string>> list_cases(const std::filesystem::path& program,
                                            const BenchOptions& options) {
  std::vector<std::string> arguments = arguments_for(options);
  arguments.emplace_back("--benchmark_list_tests=true");
  HOLDFAST_TRY(const std::string output, run_program(program, arguments, Chatter::dropped));
  std::vector<std::string> names;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) names.push_back(plain_name(line));
  return names;
}

Result<std::vector<BenchResult>> measure(const std::filesystem::path& program, const BenchOptions& options) {
  std::vector<std::string> arguments = arguments_for(options);
  arguments.emplace_back("--benchmark_format=json");
  HOLDFAST_TRY(const std::string output, run_program(program, arguments, Chatter::shown));
  return parse_results(output);
}

/// What the results are of, for who computes with them (`holdfast simulate --costs`). Without what cannot be
/// found out.
nlohmann::json describe_machine() {
  nlohmann::json machine = {{"cores", std::thread::hardware_concurrency()}};
  const auto options = StoreOptions::from_environment();
  if (!options) return machine;
  const auto candidates = fabric::probe_ofi({options->provider, options->interface});
  if (!candidates || candidates->empty() || !candidates->front().usable) return machine;
  machine["provider"] = candidates->front().info.provider;
  machine["rdma"] = candidates->front().info.rdma;
  return machine;
}

std::string json_of(const std::vector<BenchResult>& results) {
  nlohmann::json json = to_json(results);
  json["machine"] = describe_machine();
  return json.dump(2);
}

Status write_json(const std::string& file, const std::vector<BenchResult>& results) {
  std::ofstream out(file);
  out << json_of(results) << '\n';
  out.close();
  if (!out) return fail(Code::system, kOperation, "cannot write " + file);
  return {};
}

/// What ran of a program goes to `results`.
Status run_one(const std::filesystem::path& program, const BenchOptions& options,
               std::vector<BenchResult>& results) {
  HOLDFAST_TRY(const std::vector<std::string> names, list_cases(program, options));
  if (names.empty()) return {};
  if (options.list) {
    for (const std::string& name : names) std::puts(name.c_str());
    return {};
  }
  std::fprintf(stderr, "%s ...\n", program.filename().c_str());
  HOLDFAST_TRY(std::vector<BenchResult> measured, measure(program, options));
  for (BenchResult& result : measured) results.push_back(std::move(result));
  return {};
}

int complain(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

}  // namespace

int run_bench(const BenchOptions& options) {
  const auto programs = find_bench_programs();
  if (!programs) return complain(programs.error());
  int exit_code = 0;
  std::vector<BenchResult> results;
  for (const auto& program : *programs)
    if (const Status ran = run_one(program, options, results); !ran) exit_code = complain(ran.error());
  if (options.list) return exit_code;
  if (results.empty() && exit_code == 0)
    return complain({Code::not_found, std::string(kOperation),
                     "no case matches \"" + options.filter + "\"; --list shows their names"});
  for (const BenchResult& result : results)
    if (!result.error.empty()) exit_code = 1;
  if (options.json == "-") {
    std::printf("%s\n", json_of(results).c_str());
    return exit_code;
  }
  std::fputs(to_table(results).c_str(), stdout);
  if (!options.json.empty())
    if (const Status written = write_json(options.json, results); !written) return complain(written.error());
  return exit_code;
}

void add_bench_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* const command = app.add_subcommand("bench",
                                               "Measure this machine: gets, puts and remote reads beside the "
                                               "limits of memory and fabric, in the same run");
  command->add_option("--filter", options->filter,
                      "regular expression for the cases to run, e.g. get_remote");
  command->add_flag("--quick", options->quick, "one repetition instead of five");
  command->add_option("--json", options->json, "write the results to this file, too; -: to standard output");
  command->add_flag("--list", options->list, "only print the names of the cases");
  command->callback([options, &exit_code] { exit_code = run_bench(*options); });
}

}  // namespace holdfast::cli
