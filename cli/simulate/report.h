// A forecast for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/simulate/costs.h"
#include "cli/simulate/layout.h"
#include "holdfast/sim/forecast.h"

namespace holdfast::cli {

/// All that a report tells of.
struct Simulated {
  sim::ForecastOptions options;
  Layout layout;
  Costs costs;
  sim::Forecast forecast;
};

/// What was simulated, expected times, bytes by kind of link, objects on disk, messages, and the costs with
/// where each is from.
std::string simulated_text(const Simulated& simulated);
/// The same; times in nanoseconds, sizes in bytes.
nlohmann::ordered_json simulated_json(const Simulated& simulated);

}  // namespace holdfast::cli
