// holdfast: looks at the machine and at the library. The commands are in files of their own.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/bench/bench_command.h"
#include "cli/doctor/doctor_command.h"
#include "cli/help.h"
#include "cli/simulate/simulate_command.h"
#include "cli/topology/topology_command.h"
#include "cli/why/why_command.h"
#include "holdfast/version.h"

namespace {

constexpr int kWrongUsage = 2;

}  // namespace

int main(int argc, char** argv) {
  using namespace holdfast::cli;
  int exit_code = 0;
  CLI::App app("Looks at this machine and at Holdfast, a distributed object store for parallel jobs.",
               "holdfast");
  app.footer(help_footer());
  app.require_subcommand(1);
  app.set_version_flag(
      "--version", fmt::format("holdfast {} (protocol {})", holdfast::version(), holdfast::kProtocolVersion));
  add_topology_command(app, exit_code);
  add_doctor_command(app, exit_code);
  add_bench_command(app, exit_code);
  add_why_command(app, exit_code);
  add_simulate_command(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    // CLI11 says the same of an unknown command as of none.
    const auto named = [&](const CLI::App* command) { return argc > 1 && command->check_name(argv[1]); };
    if (argc < 2 || argv[1][0] == '-' || !app.get_subcommands(named).empty())
      return app.exit(error) == 0 ? 0 : kWrongUsage;
    fmt::print(stderr, "holdfast has no command {}; holdfast --help lists them\n", argv[1]);
    return kWrongUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;
  }
  return exit_code;
}
