// `holdfast doctor`: what works here, what is slow, and the commands that mend it.
#pragma once

#include <string>
#include <vector>

#include "cli/doctor/finding.h"
#include "cli/doctor/machine.h"

namespace CLI {
class App;
}

namespace holdfast::cli {

/// Adds the subcommand; its exit status goes to `exit_code`, which outlives `app`: 0 where a store will open
/// (warnings or not), 1 where there is a problem.
void add_doctor_command(CLI::App& app, int& exit_code);

/// A line a check, its fix below it, then all providers that were looked at.
std::string doctor_text(const Machine& machine, const std::vector<Finding>& findings);
std::string doctor_json(const Machine& machine, const std::vector<Finding>& findings);

}  // namespace holdfast::cli
