#include "cli/run/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <sstream>

namespace holdfast::run {
namespace {

/// More than any one holdfast-run should be asked to watch; a job of that size has a resource manager.
constexpr std::uint32_t kMostRanks = 65536;
constexpr double kLongestSeconds = 1e9;

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

Duration seconds(double count) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(count));
}

/// Complains in one line; the code is that of wrong usage.
Leave complain(const std::string& what) {
  fmt::print(stderr, "holdfast-run: {}; holdfast-run --help lists the options\n", what);
  return Leave{2};
}

/// A host is a word of the agent's command line: it must not pass for an option or carry shell text.
bool is_host(const std::string& host) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:@%[]";
  return !host.empty() && host.front() != '-' && host.find_first_not_of(kAllowed) == std::string::npos;
}

}  // namespace

std::variant<Options, Leave> parse_options(int argc, char** argv) {
  Options options;
  std::string hosts, agent = "ssh", placement = "block";
  double timeout = 0, grace = 10;
  std::int64_t ranks = 0;
  bool no_pin = false, no_prefix = false;

  CLI::App app("Starts a program as the ranks of a Holdfast job, here or on other hosts.", "holdfast-run");
  app.prefix_command();  // what follows the program is the program's
  app.footer(
      "holdfast-run [OPTIONS] PROGRAM [ARGUMENTS...]\n"
      "Returns the largest exit code of the ranks (128 + signal for a rank ended by one), 124 after "
      "--timeout,\n127 where the program was not found, 126 where it cannot be executed, 2 for wrong usage.");
  app.add_option("-n,--ranks", ranks, "number of ranks")->required();
  app.add_option("--hosts", hosts,
                 "hosts to start ranks on, separated by commas; default: this one, directly");
  app.add_option("--place", placement, "block or round-robin: how ranks are dealt to hosts")
      ->capture_default_str();
  app.add_option("--agent", agent, "command that runs another on a host, used as ssh is")
      ->capture_default_str();
  app.add_option("-x,--export", options.exported, "environment variable to hand to ranks on other hosts")
      ->expected(1)
      ->take_all();
  app.add_option(
      "--rendezvous", options.rendezvous,
      "directory all hosts share, for the exchange of addresses; default: the working directory with "
      "--hosts, else the temporary one");
  app.add_flag("--keep-going", options.keep_going, "let the other ranks go on when one fails");
  app.add_option("--timeout", timeout, "seconds after which the job is ended; default: none");
  app.add_option("--grace", grace, "seconds between SIGTERM and SIGKILL")->capture_default_str();
  app.add_flag("--no-pin", no_pin, "do not bind local ranks to NUMA nodes");
  app.add_flag("--no-prefix", no_prefix, "do not put [rank] before each line");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return Leave{app.exit(error) == 0 ? 0 : 2};
  }

  options.command = app.remaining();
  if (!options.command.empty() && options.command.front() == "--")
    options.command.erase(options.command.begin());
  else if (!options.command.empty() && options.command.front().starts_with('-'))
    return complain(fmt::format("unknown option {}", options.command.front()));
  if (options.command.empty() || options.command.front().empty()) return complain("no program given");
  if (ranks < 1 || ranks > kMostRanks)
    return complain(fmt::format("-n {}: 1 to {} ranks", ranks, kMostRanks));
  options.ranks = static_cast<std::uint32_t>(ranks);
  if (!(timeout >= 0) || timeout > kLongestSeconds) return complain("--timeout wants seconds");
  if (app.count("--timeout") > 0) options.timeout = seconds(timeout);
  if (!(grace >= 0) || grace > kLongestSeconds) return complain("--grace wants seconds");
  options.grace = seconds(grace);
  options.hosts = split(hosts, ',');
  if (app.count("--hosts") > 0 && options.hosts.empty()) return complain("--hosts names no host");
  for (const std::string& host : options.hosts)
    if (!is_host(host)) return complain(fmt::format("\"{}\" is not the name of a host", host));
  if (placement == "round-robin")
    options.placement = Placement::round_robin;
  else if (placement != "block")
    return complain(fmt::format("--place {}: block or round-robin", placement));
  options.agent = split(agent, ' ');
  if (options.agent.empty()) return complain("--agent is empty");
  options.pin = !no_pin;
  options.prefix = !no_prefix;
  return options;
}

std::string host_of(const Options& options, std::uint32_t rank) {
  if (options.hosts.empty()) return "";
  const std::size_t hosts = options.hosts.size();
  if (options.placement == Placement::round_robin) return options.hosts[rank % hosts];
  return options.hosts[std::uint64_t{rank} * hosts / options.ranks];
}

}  // namespace holdfast::run
