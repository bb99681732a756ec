// Lines for the operator on standard error. Nothing on a hot path logs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast {

enum class LogLevel : std::uint8_t { debug, info, warning, error, off };

/// Errors: invalid (not one of debug, info, warning, error, off).
Result<LogLevel> parse_log_level(std::string_view text);

/// The least level that is printed; `warning` until set. Any thread.
void set_log_level(LogLevel level);
LogLevel log_level();

/// What stands before every line, e.g. "rank 3"; set once when the rank is known. Any thread.
void set_log_prefix(std::string_view prefix);

/// Prints one line. Any thread.
void log(LogLevel level, std::string_view text);

}  // namespace holdfast
