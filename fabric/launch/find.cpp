// Decides which launcher started this process.
#include <fmt/format.h>

#include <cstdlib>

#include "fabric/launch/launchers.h"

namespace holdfast::fabric {
namespace {

using launch::kOperation;

bool is_set(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here calls setenv
  return value != nullptr && *value != '\0';
}

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

Result<std::unique_ptr<Launch>> Launch::find(const Environment& environment) {
  if (const auto forced = environment.get(Variable::launcher)) {
    if (*forced == "alone") return launch::open_alone();
    if (*forced == "rendezvous") return from_rendezvous(environment);
    if (*forced == "pmix") return launch::open_pmix();
    if (*forced == "pmi1") return launch::open_pmi1();
    return fail(Code::invalid, kOperation,
                fmt::format("HOLDFAST_LAUNCHER=\"{}\" is none of pmix, pmi1, rendezvous, alone", *forced));
  }
  // The most deliberate choice first: HOLDFAST_ variables are set by holdfast-run or by hand, while a PMIx
  // or PMI environment may be left over from a surrounding srun.
  for (const Variable variable : {Variable::rendezvous, Variable::rank, Variable::size, Variable::job})
    if (environment.get(variable)) return from_rendezvous(environment);
  if (is_set("PMIX_NAMESPACE") && is_set("PMIX_RANK")) return launch::open_pmix();
  if (is_set("PMI_FD")) return launch::open_pmi1();
  return launch::open_alone();
}

}  // namespace holdfast::fabric
