// Decides which launcher started this process.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "fabric/launch/launchers.h"

namespace holdfast::fabric {
namespace {

using launch::kOperation;

constexpr std::array kOfRendezvous = {Variable::rendezvous, Variable::rank, Variable::size, Variable::job};

bool is_rank_of_pmix() {
  return launch::launcher_variable("PMIX_NAMESPACE") && launch::launcher_variable("PMIX_RANK");
}
bool is_rank_of_pmi1() { return launch::launcher_variable("PMI_FD").has_value(); }

Result<std::unique_ptr<Launch>> from_rendezvous(const Environment& environment) {
  const auto directory = environment.get(Variable::rendezvous);
  const auto rank = environment.get(Variable::rank);
  const auto size = environment.get(Variable::size);
  const auto job = environment.get(Variable::job);
  std::string missing;
  const auto require = [&](bool present, std::string_view name) {
    if (present) return;
    if (!missing.empty()) missing += ", ";
    missing += name;
  };
  require(directory.has_value(), "HOLDFAST_RENDEZVOUS");
  require(rank.has_value(), "HOLDFAST_RANK");
  require(size.has_value(), "HOLDFAST_SIZE");
  require(job.has_value(), "HOLDFAST_JOB");
  if (!missing.empty())
    return fail(Code::invalid, kOperation,
                fmt::format("a rendezvous needs HOLDFAST_RENDEZVOUS, HOLDFAST_RANK, HOLDFAST_SIZE and "
                            "HOLDFAST_JOB together; not set: {}. holdfast-run sets all four",
                            missing));
  HOLDFAST_TRY(const std::uint32_t my_rank, launch::parse_count("HOLDFAST_RANK", *rank));
  HOLDFAST_TRY(const std::uint32_t ranks, launch::parse_count("HOLDFAST_SIZE", *size));
  return launch::open_rendezvous(
      {.directory = std::string(*directory), .rank = my_rank, .size = ranks, .job = std::string(*job)});
}

}  // namespace

Result<LauncherChoice> Launch::choose(const Environment& environment) {
  if (const auto forced = environment.get(Variable::launcher)) {
    if (*forced == "alone") return LauncherChoice{Launcher::alone};
    if (*forced == "rendezvous") return LauncherChoice{Launcher::rendezvous};
    if (*forced == "pmix") return LauncherChoice{Launcher::pmix, is_rank_of_pmix()};
    if (*forced == "pmi1") return LauncherChoice{Launcher::pmi1, is_rank_of_pmi1()};
    return fail(Code::invalid, kOperation,
                fmt::format("HOLDFAST_LAUNCHER=\"{}\" is none of pmix, pmi1, rendezvous, alone", *forced));
  }
  // The most deliberate choice first: HOLDFAST_ variables are set by holdfast-run or by hand, while a PMIx
  // or PMI environment may be left over from a surrounding srun.
  if (std::ranges::any_of(kOfRendezvous, [&](Variable v) { return environment.get(v).has_value(); }))
    return LauncherChoice{Launcher::rendezvous};
  if (is_rank_of_pmix()) return LauncherChoice{Launcher::pmix, true};
  if (is_rank_of_pmi1()) return LauncherChoice{Launcher::pmi1, true};
  return LauncherChoice{Launcher::alone};
}

Result<std::unique_ptr<Launch>> Launch::find(const Environment& environment) {
  HOLDFAST_TRY(const LauncherChoice choice, choose(environment));
  switch (choice.launcher) {
    case Launcher::rendezvous:
      return from_rendezvous(environment);
    case Launcher::pmix:
      return launch::open_pmix();
    case Launcher::pmi1:
      return launch::open_pmi1();
    case Launcher::alone:
      break;
  }
  return launch::open_alone();
}

}  // namespace holdfast::fabric
