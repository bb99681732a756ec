#include "holdfast/base/environment.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace holdfast {
namespace {

constexpr std::string_view kPrefix = "HOLDFAST_";

constexpr std::array kVariables = {
    VariableInfo{Variable::arena, "HOLDFAST_ARENA", "bytes of arena a member, e.g. 4GiB"},
    VariableInfo{Variable::catalogue, "HOLDFAST_CATALOGUE", "entries the catalogue of a member can hold"},
    VariableInfo{
        Variable::pages, "HOLDFAST_PAGES",
        "page policy: prefer or require, and the largest page: prefer:1GiB, require:2MiB, transparent, base"},
    VariableInfo{Variable::nodes, "HOLDFAST_NODES", "NUMA nodes the arena lies on, e.g. 0,2; all by default"},
    VariableInfo{Variable::provider, "HOLDFAST_PROVIDER",
                 "libfabric provider to use instead of the best one found"},
    VariableInfo{Variable::interface, "HOLDFAST_INTERFACE",
                 "network interface, address or fabric domain to use"},
    VariableInfo{Variable::same_host, "HOLDFAST_SAME_HOST",
                 "memory or fabric: how members on one host read each other"},
    VariableInfo{Variable::verify, "HOLDFAST_VERIFY",
                 "which gets check payload checksums: always, remote or never"},
    VariableInfo{Variable::open_timeout, "HOLDFAST_OPEN_TIMEOUT",
                 "seconds Store::open waits for the other ranks"},
    VariableInfo{Variable::placement, "HOLDFAST_PLACEMENT",
                 "NUMA node of objects whose put names none: local (the putting thread's) or interleave"},
    VariableInfo{Variable::collect, "HOLDFAST_COLLECT",
                 "what becomes of objects that nothing keeps: lazy (cache, until room is needed) or eager"},
    VariableInfo{Variable::eviction, "HOLDFAST_EVICTION", "which cached objects go first: lru or s3_fifo"},
    VariableInfo{Variable::token_lifetime, "HOLDFAST_TOKEN_LIFETIME",
                 "seconds that a token keeps its object, redeemed or not"},
    VariableInfo{Variable::member_timeout, "HOLDFAST_MEMBER_TIMEOUT",
                 "seconds that a member that cannot be reached still counts as alive"},
    VariableInfo{Variable::spill, "HOLDFAST_SPILL",
                 "directories on local disks that cold objects are written to, separated by colons"},
    VariableInfo{Variable::spill_above, "HOLDFAST_SPILL_ABOVE",
                 "percent of the arena that kept objects may take before the coldest are written to disk"},
    VariableInfo{Variable::log, "HOLDFAST_LOG", "log level: debug, info, warning, error or off"},
    VariableInfo{Variable::launcher, "HOLDFAST_LAUNCHER",
                 "pmix, pmi1, rendezvous or alone instead of what is found"},
    VariableInfo{Variable::rank, "HOLDFAST_RANK", "this process's rank (set by holdfast-run)"},
    VariableInfo{Variable::size, "HOLDFAST_SIZE", "number of ranks (set by holdfast-run)"},
    VariableInfo{Variable::job, "HOLDFAST_JOB", "the job's name (set by holdfast-run)"},
    VariableInfo{Variable::rendezvous, "HOLDFAST_RENDEZVOUS",
                 "directory all ranks see, where they exchange addresses (set by holdfast-run)"},
    VariableInfo{Variable::bench_spill, "HOLDFAST_BENCH_SPILL",
                 "directory on a disk that `holdfast bench` spills to; the present one by default"},
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const VariableInfo> known_variables() noexcept { return kVariables; }

Result<Environment> Environment::read() {
  std::vector<std::string_view> assignments;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) assignments.emplace_back(*at);
  return parse(assignments);
}

Result<Environment> Environment::parse(std::span<const std::string_view> assignments) {
  Environment environment;
  environment.values_.resize(kVariables.size());
  for (const std::string_view assignment : assignments) {
    if (!assignment.starts_with(kPrefix)) continue;
    const std::size_t equals = assignment.find('=');
    const std::string_view name = assignment.substr(0, equals);
    const auto* const found = std::ranges::find(kVariables, name, &VariableInfo::name);
    if (found == kVariables.end()) {
      const auto* const nearest = std::ranges::min_element(
          kVariables, {}, [&](const VariableInfo& v) { return edit_distance(v.name, name); });
      return fail(
          Code::invalid, "Environment::read",
          fmt::format("unknown variable {}; did you mean {} ({})? Unset it, or see docs/configuration.md for "
                      "all variables",
                      name, nearest->name, nearest->meaning));
    }
    if (equals == std::string_view::npos) continue;
    environment.values_[static_cast<std::size_t>(found->variable)] =
        std::string(assignment.substr(equals + 1));
  }
  return environment;
}

std::optional<std::string_view> Environment::get(Variable variable) const {
  const auto& value = values_[static_cast<std::size_t>(variable)];
  if (!value || value->empty()) return std::nullopt;
  return *value;
}

}  // namespace holdfast
