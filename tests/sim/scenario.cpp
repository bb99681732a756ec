#include "tests/sim/scenario.h"

#include <fmt/format.h>

#include <array>
#include <iterator>

namespace holdfast::sim::test {
namespace {

constexpr std::array<std::string_view, 39> kActs = {
    "put",         "draft",      "seal",      "abandon",     "get",       "get_range",  "get_into",
    "get_many",    "get_name",   "wait",      "lookup",      "pin",       "pass",       "drop",
    "erase",       "erase_name", "crash",     "leave",       "restart",   "stop",       "resume",
    "slow",        "cut",        "heal",      "break_link",  "put_parts", "parts",      "prefetch",
    "disk_slow",   "disk_fail",  "disk_full", "disk_damage", "disk_mend", "power_loss", "power_back",
    "full_queues", "slow_host",  "call_off",  "barrier"};
static_assert(kActs.size() == static_cast<std::size_t>(Act::barrier) + 1);

}  // namespace

std::string_view to_string(Act act) noexcept { return kActs[static_cast<std::size_t>(act)]; }

std::string as_test(const Scenario& s, std::string_view name) {
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "TEST(Regression, {}) {{\n  Scenario scenario;\n", name);
  fmt::format_to(out, "  scenario.seed = {};\n  scenario.members = {};\n  scenario.members_per_host = {};\n",
                 s.seed, s.members, s.members_per_host);
  for (const auto& [field, value] : {std::pair{"share_memory", s.share_memory},
                                     {"needs_target", s.needs_target},
                                     {"scatter", s.scatter},
                                     {"eager", s.eager},
                                     {"s3_fifo", s.s3_fifo}})
    if (value) fmt::format_to(out, "  scenario.{} = true;\n", field);
  if (!s.verify_all) fmt::format_to(out, "  scenario.verify_all = false;\n");
  if (!s.checksums) fmt::format_to(out, "  scenario.checksums = false;\n");
  fmt::format_to(out,
                 "  scenario.piece_bytes = {};\n  scenario.jitter_us = {};\n  scenario.detection_ms = {};\n",
                 s.piece_bytes, s.jitter_us, s.detection_ms);
  if (s.straggler_one_in != 0)
    fmt::format_to(out, "  scenario.straggler_one_in = {};\n  scenario.straggle_us = {};\n",
                   s.straggler_one_in, s.straggle_us);
  fmt::format_to(out, "  scenario.member_timeout_ms = {};\n", s.member_timeout_ms);
  fmt::format_to(out, "  scenario.token_ms = {};\n  scenario.arena_kib = {};\n", s.token_ms, s.arena_kib);
  if (s.gather != 1) fmt::format_to(out, "  scenario.gather = {};\n", s.gather);
  if (s.nodes != 1) fmt::format_to(out, "  scenario.nodes = {};\n", s.nodes);
  if (s.disks != 0)
    fmt::format_to(out,
                   "  scenario.disks = {};\n  scenario.spill_above = {};\n  scenario.disk_kib = {};\n"
                   "  scenario.disk_latency_us = {};\n  scenario.disk_mb_per_s = {};\n",
                   s.disks, s.spill_above, s.disk_kib, s.disk_latency_us, s.disk_mb_per_s);
  fmt::format_to(out, "  scenario.steps = {{\n");
  for (const Step& step : s.steps)
    fmt::format_to(out, "      {{{}, {}, Act::{}, {}, {}, {}{}}},\n", step.at_us, step.member,
                   to_string(step.act), step.object, step.other, step.amount,
                   step.amount >> 63 != 0 ? "U" : "");
  fmt::format_to(out, "  }};\n  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());\n}}\n");
  return text;
}

}  // namespace holdfast::sim::test
