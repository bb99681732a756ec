#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>

#include "holdfast/base/environment.h"

namespace holdfast::cli {

std::string help_footer() {
  std::string text =
      "Examples:\n"
      "  holdfast doctor                      what works here, what is slow, and the command that mends it\n"
      "  holdfast topology                    NUMA nodes, memory, distances, huge pages, network devices\n"
      "  holdfast topology --json             the same for programs\n"
      "  holdfast simulate --workload shuffle --topology 4x8   what that would take; simulate --help has "
      "more\n"
      "  holdfast-run -n 4 ./program          starts a job of four ranks here; holdfast-run --help has more\n"
      "  mpirun -n 4 ./program                or srun, or mpiexec.hydra: ranks are found by themselves\n"
      "  HOLDFAST_ARENA=4GiB holdfast-run -n 4 ./program\n"
      "\n"
      "Environment of a job (unknown HOLDFAST_ variables are refused):\n";
  std::size_t widest = 0;
  for (const VariableInfo& variable : known_variables()) widest = std::max(widest, variable.name.size());
  for (const VariableInfo& variable : known_variables())
    text += fmt::format("  {:<{}}  {}\n", variable.name, widest, variable.meaning);
  return text;
}

}  // namespace holdfast::cli
