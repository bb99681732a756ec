// What `holdfast doctor` makes of the facts.
#pragma once

#include <vector>

#include "cli/doctor/finding.h"
#include "cli/doctor/machine.h"

namespace holdfast::cli {

/// One finding a check, in the order of their importance for a job.
std::vector<Finding> check_machine(const Machine& machine);

/// The gravest of them.
Health worst(const std::vector<Finding>& findings);

}  // namespace holdfast::cli
