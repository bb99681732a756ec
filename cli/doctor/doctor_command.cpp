#include "cli/doctor/doctor_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/doctor/checks.h"

namespace holdfast::cli {

std::string doctor_text(const Machine& machine, const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<8} {}: {}\n", to_string(finding.health), finding.check, finding.found);
    if (!finding.fix.empty()) text += fmt::format("         fix: {}\n", finding.fix);
  }
  if (machine.providers && !machine.providers->empty()) {
    text += "\nproviders, best first:\n";
    for (const fabric::OfiCandidate& candidate : *machine.providers)
      text +=
          fmt::format("  {} {}{}{}: {}\n", candidate.usable ? "+" : "-", candidate.info.provider,
                      candidate.info.domain.empty() ? "" : " on ", candidate.info.domain, candidate.reason);
  }
  return text;
}

std::string doctor_json(const Machine& machine, const std::vector<Finding>& findings) {
  using nlohmann::ordered_json;
  ordered_json json;
  json["health"] = to_string(worst(findings));
  json["checks"] = ordered_json::array();
  for (const Finding& finding : findings)
    json["checks"].push_back({{"check", finding.check},
                              {"health", to_string(finding.health)},
                              {"found", finding.found},
                              {"fix", finding.fix}});
  json["providers"] = ordered_json::array();
  if (machine.providers)
    for (const fabric::OfiCandidate& candidate : *machine.providers)
      json["providers"].push_back({{"provider", candidate.info.provider},
                                   {"protocol", candidate.info.protocol},
                                   {"domain", candidate.info.domain},
                                   {"rdma", candidate.info.rdma},
                                   {"usable", candidate.usable},
                                   {"reason", candidate.reason}});
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void add_doctor_command(CLI::App& app, int& exit_code) {
  auto* const command = app.add_subcommand(
      "doctor", "Checks this machine and opens a store alone; returns 1 where it would not open, else 0");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "print JSON");
  command->callback([json, &exit_code] {
    const Machine machine = look_at_machine();
    const auto findings = check_machine(machine);
    fmt::print("{}", *json ? doctor_json(machine, findings) : doctor_text(machine, findings));
    exit_code = worst(findings) == Health::problem ? 1 : 0;
  });
}

}  // namespace holdfast::cli
