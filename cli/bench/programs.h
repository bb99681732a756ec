// The benchmark programs: where they lie, and running one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::cli {

/// All programs bench_* in the first folder that has any: beside this program, ../libexec/holdfast
/// (installed),
/// ../bench (a build folder). Sorted. Errors: not_found, naming the folders.
Result<std::vector<std::filesystem::path>> find_bench_programs();

enum class Chatter : std::uint8_t {
  shown,    ///< the program's standard error goes to ours
  dropped,  ///< nowhere
};

/// Runs `program` to its end and returns its standard output.
/// Errors: system (it could not be started, or ended with another status than 0).
Result<std::string> run_program(const std::filesystem::path& program,
                                const std::vector<std::string>& arguments, Chatter chatter);

}  // namespace holdfast::cli
