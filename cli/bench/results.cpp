#include "cli/bench/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace holdfast::cli {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 4> kNonNumbers = {"-NaN", "NaN", "-Infinity", "Infinity"};
constexpr std::array<std::string_view, 3> kGoals = {"goal_ns_at_most", "goal_ratio_at_most",
                                                    "goal_ratio_at_least"};

/// Where a repetition and the aggregates of several share a name, the median is the one that counts.
bool counts(const json& entry) {
  if (entry.value("error_occurred", false)) return true;
  return entry.value("run_type", "") != "aggregate" || entry.value("aggregate_name", "") == "median";
}

/// Google Benchmark writes NaN and Infinity as they are (the variation of what is always 0 is 0/0), which is
/// not JSON: null in their place.
std::string without_non_numbers(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') quoted = !quoted;
    if (quoted && text[at] == '\\' && at + 1 < text.size()) out += text[at++];
    const std::string_view rest = std::string_view(text).substr(at);
    const auto* const word =
        quoted ? kNonNumbers.end()
               : std::ranges::find_if(kNonNumbers, [&](auto w) { return rest.starts_with(w); });
    if (word == kNonNumbers.end()) {
      out += text[at];
      continue;
    }
    out += "null";
    at += word->size() - 1;
  }
  return out;
}

/// 0 where there is no number.
double number_in(const json& entry, std::string_view key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_number() ? found->get<double>() : 0.0;
}

double nanoseconds_in(const std::string& unit) {
  if (unit == "us") return 1e3;
  if (unit == "ms") return 1e6;
  return unit == "s" ? 1e9 : 1;
}

BenchResult read_entry(const json& entry) {
  BenchResult result;
  result.what = plain_name(entry.value("run_name", entry.value("name", "")));
  if (entry.value("error_occurred", false)) {
    result.error = entry.value("error_message", "failed without a message");
    return result;
  }
  if (!entry.contains("measured")) {  // of another kind than bench/measure.h's
    result.unit = "ns";
    result.measured = number_in(entry, "real_time") * nanoseconds_in(entry.value("time_unit", "ns"));
    return result;
  }
  result.unit = entry.value("label", "");
  result.measured = number_in(entry, "measured");
  result.limit = number_in(entry, "limit");
  result.ratio = number_in(entry, "ratio");
  for (const std::string_view kind : kGoals) {
    if (!entry.contains(kind)) continue;
    result.goal_kind = kind;
    result.goal = number_in(entry, result.goal_kind);
  }
  return result;
}

std::string show_scaled(double value, std::string_view unit) {
  struct Scale {
    double from;
    std::string_view prefix;
  };
  static constexpr std::array<Scale, 4> kScales = {{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {0, ""}}};
  const auto* const scale = std::ranges::find_if(kScales, [&](const Scale& s) { return value >= s.from; });
  if (scale == kScales.end()) return fmt::format("{:.3g} {}", value, unit);
  return fmt::format("{:.4g} {}{}", value / std::max(scale->from, 1.0), scale->prefix, unit);
}

std::string show_time(double ns) {
  if (ns >= 1e6) return fmt::format("{:.4g} ms", ns / 1e6);
  if (ns >= 1e4) return fmt::format("{:.4g} us", ns / 1e3);
  return fmt::format("{:.4g} ns", ns);
}

std::string show(double value, std::string_view unit) {
  return unit == "ns" ? show_time(value) : show_scaled(value, unit);
}

std::string show_goal(const BenchResult& result) {
  if (result.goal_kind == "goal_ns_at_most") return "<= " + show_time(result.goal);
  if (result.goal_kind == "goal_ratio_at_most") return fmt::format("<= {:.2f} x", result.goal);
  if (result.goal_kind == "goal_ratio_at_least") return fmt::format(">= {:.2f} x", result.goal);
  return "";
}

}  // namespace

std::optional<bool> BenchResult::reached() const {
  if (goal_kind.empty() || !error.empty()) return std::nullopt;
  if (goal_kind == "goal_ns_at_most") return measured <= goal;
  return goal_kind == "goal_ratio_at_most" ? ratio <= goal : ratio >= goal;
}

std::string plain_name(const std::string& name) {
  std::size_t end = name.size();
  for (const std::string_view suffix : {"/iterations:", "/manual_time"})
    end = std::min(end, name.find(suffix));
  return name.substr(0, end);
}

Result<std::vector<BenchResult>> parse_results(const std::string& text) {
  const json parsed = json::parse(without_non_numbers(text), nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("benchmarks") || !parsed["benchmarks"].is_array())
    return fail(Code::invalid, "holdfast bench", "not the JSON output of a benchmark program");
  std::vector<BenchResult> results;
  for (const json& entry : parsed["benchmarks"]) {
    if (!entry.is_object()) return fail(Code::invalid, "holdfast bench", "a benchmark that is no object");
    if (!counts(entry)) continue;
    BenchResult result = read_entry(entry);
    // Each repetition of a case that fails says so.
    const bool again =
        std::ranges::any_of(results, [&](const BenchResult& r) { return r.what == result.what; });
    if (!again) results.push_back(std::move(result));
  }
  return results;
}

json to_json(const std::vector<BenchResult>& results) {
  json list = json::array();
  for (const BenchResult& result : results) {
    json entry = {{"what", result.what}};
    if (!result.error.empty()) {
      entry["error"] = result.error;
      list.push_back(std::move(entry));
      continue;
    }
    entry.update({{"unit", result.unit}, {"measured", result.measured}});
    if (result.limit > 0) entry.update({{"limit", result.limit}, {"ratio", result.ratio}});
    if (!result.goal_kind.empty()) entry[result.goal_kind] = result.goal;
    if (const auto reached = result.reached()) entry["reached"] = *reached;
    list.push_back(std::move(entry));
  }
  return {{"format", kResultsFormat}, {"results", std::move(list)}};
}

std::string to_table(const std::vector<BenchResult>& results) {
  std::size_t width = 4;
  for (const BenchResult& result : results) width = std::max(width, result.what.size());
  const auto line = [&](std::string_view what, std::string_view measured, std::string_view limit,
                        std::string_view ratio, std::string_view goal, std::string_view reached) {
    std::string text = fmt::format("{:<{}}  {:>13}  {:>13}  {:>7}  {:>10}  {}", what, width, measured, limit,
                                   ratio, goal, reached);
    text.erase(text.find_last_not_of(' ') + 1);
    return text + '\n';
  };
  std::string table = line("what", "measured", "limit", "ratio", "goal", "reached");
  for (const BenchResult& result : results) {
    if (!result.error.empty()) {
      table += fmt::format("{:<{}}  {}\n", result.what, width, result.error);
      continue;
    }
    const auto reached = result.reached();
    const bool limited = result.limit > 0;
    table +=
        line(result.what, show(result.measured, result.unit), limited ? show(result.limit, result.unit) : "",
             limited ? fmt::format("{:.2f}", result.ratio) : "", show_goal(result),
             !reached   ? ""
             : *reached ? "yes"
                        : "no");
  }
  return table;
}

}  // namespace holdfast::cli
