// The benchmark programs: where they lie, and running one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::cli {

/// All programs bench_* in the first folder that has any: beside this program, ../libexec/holdfast
/// (installed),
/// ../bench (a build folder). Sorted. Errors: not_found, naming the folders.
Result<std::vector<std::filesystem::path>> find_bench_programs();

/// Runs `program` to its end and returns its standard output. Its standard error goes to ours.
/// Errors: system (it could not be started, or ended with another status than 0).
Result<std::string> run_program(const std::filesystem::path& program,
                                const std::vector<std::string>& arguments);

}  // namespace holdfast::cli
