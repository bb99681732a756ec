#include "holdfast/base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <string>

namespace holdfast {
namespace {

spdlog::logger& logger() {
  // Never destroyed: agent threads of stores that outlive main may still log.
  static auto* const instance = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto* made = new spdlog::logger("holdfast", std::move(sink));
    made->set_pattern("%H:%M:%S.%e holdfast %l: %v");
    made->set_level(spdlog::level::warn);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      return spdlog::level::off;
  }
  return spdlog::level::warn;
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  if (text == "debug") return LogLevel::debug;
  if (text == "info") return LogLevel::info;
  if (text == "warning") return LogLevel::warning;
  if (text == "error") return LogLevel::error;
  if (text == "off") return LogLevel::off;
  return fail(Code::invalid, "parse_log_level",
              fmt::format("\"{}\" is not a log level; choose debug, info, warning, error or off", text));
}

void set_log_level(LogLevel level) { logger().set_level(to_spdlog(level)); }

LogLevel log_level() {
  switch (logger().level()) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return LogLevel::debug;
    case spdlog::level::info:
      return LogLevel::info;
    case spdlog::level::warn:
      return LogLevel::warning;
    case spdlog::level::err:
    case spdlog::level::critical:
      return LogLevel::error;
    default:
      return LogLevel::off;
  }
}

void set_log_prefix(std::string_view prefix) {
  std::string escaped;
  for (const char c : prefix) {
    escaped += c;
    if (c == '%') escaped += '%';
  }
  logger().set_pattern(fmt::format("%H:%M:%S.%e holdfast {} %l: %v", escaped));
}

void log(LogLevel level, std::string_view text) { logger().log(to_spdlog(level), text); }

}  // namespace holdfast
