#include "cli/simulate/simulate_command.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "cli/simulate/costs.h"
#include "cli/simulate/layout.h"
#include "cli/simulate/report.h"
#include "holdfast/base/log.h"
#include "holdfast/base/units.h"
#include "holdfast/numa/system_files.h"

namespace holdfast::cli {
namespace {

constexpr std::string_view kOperation = "holdfast simulate";
constexpr int kWrongUsage = 2;

constexpr const char* kFooter =
    "Workloads:\n"
    "  shuffle     each member puts --objects for each other one, which gets them by references\n"
    "  broadcast   rank 0 puts --objects under names, all others get them\n"
    "  random      each member puts --objects under names, then does --gets of anybody's, by Zipf's law\n"
    "  outofcore   the same with arenas smaller than the objects: they are spilled and come back\n"
    "\n"
    "Topologies: HOSTSxMEMBERS, or keys hosts, per-host, racks, oversubscription (of the racks' uplinks), "
    "and\n"
    "cores (of a host; without it each thread has one).\n"
    "\n"
    "Examples:\n"
    "  holdfast bench --json costs.json     what operations cost on this machine\n"
    "  holdfast simulate --workload shuffle --topology 4x8 --costs costs.json\n"
    "  holdfast simulate --workload random --members 64 --skew 1.1 --gets 1000 --object-size 64KiB \\\n"
    "    --topology hosts=16,per-host=4,racks=2,oversubscription=2,cores=32 --costs costs.json\n"
    "  holdfast simulate --workload outofcore --topology 2x4 --objects 64 --arena 32MiB --disks 2\n"
    "\n"
    "Figures that the file lacks have defaults; the table says where each is from. The bytes are really "
    "moved:\n"
    "what all members put has to fit into this machine's memory. docs/simulate.md tells how far forecasts "
    "can\n"
    "be trusted.";

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) return fail(Code::not_found, kOperation, "cannot read the costs file " + path);
  return std::move(text).str();
}

Result<sim::Workload> workload_of(const SimulateOptions& options) {
  sim::Workload workload;
  HOLDFAST_TRY(workload.pattern, sim::parse_pattern(options.workload));
  HOLDFAST_TRY(workload.object_bytes, parse_bytes(options.object_size));
  workload.members = options.members;
  workload.objects = options.objects;
  workload.gets = options.gets;
  const bool random = workload.pattern == sim::Pattern::random;
  workload.skew = options.skew >= 0 ? options.skew : random ? 0.99 : 0;
  workload.in_flight = options.in_flight;
  workload.seed = options.seed;
  HOLDFAST_DO(check(workload));
  return workload;
}

/// Everything but the forecast.
Result<Simulated> plan(const SimulateOptions& given) {
  Simulated all;
  all.layout.hosts = std::max<std::uint32_t>(1, given.members);
  if (!given.topology.empty()) {
    HOLDFAST_TRY(all.layout, parse_layout(given.topology));
  }
  HOLDFAST_TRY(all.options.workload, workload_of(given));
  const sim::Workload& workload = all.options.workload;
  if (workload.members > all.layout.places())
    return fail(Code::invalid, kOperation,
                fmt::format("{} members do not fit on {} hosts with {} each; give a larger --topology",
                            workload.members, all.layout.hosts, all.layout.per_host));
  if (given.core_latency_us > 0 && all.layout.racks == 1)
    return fail(Code::invalid, kOperation,
                "--core-latency-us is between racks, and all hosts are in one; give racks in --topology");
  std::optional<std::string> costs;
  if (!given.costs.empty()) {
    HOLDFAST_TRY(costs, read_file(given.costs));
  }
  std::optional<FabricKind> fabric;
  if (!given.fabric.empty()) fabric = given.fabric == "tcp" ? FabricKind::tcp : FabricKind::rdma;
  HOLDFAST_TRY(all.costs, read_costs(costs, fabric, workload.object_bytes));

  all.options.members_per_host = all.layout.per_host;
  all.options.hosts = all.layout.hosts;
  all.options.racks = all.layout.racks;
  all.options.same_host = given.same_host == "fabric" ? SameHost::fabric : SameHost::memory;
  const bool spills = workload.pattern == sim::Pattern::outofcore;
  all.options.disks = given.disks > 0 ? given.disks : spills ? 1 : 0;
  if (!given.arena.empty()) {
    HOLDFAST_TRY(all.options.arena_bytes, parse_bytes(given.arena));
    if (all.options.arena_bytes == 0)
      return fail(Code::invalid, "holdfast simulate", "an arena of 0 bytes can hold nothing; see --arena");
  } else {
    all.options.arena_bytes = sim::sufficient_arena(workload);
    // Half of the objects, and room to work in.
    if (spills) all.options.arena_bytes = std::max<std::uint64_t>(all.options.arena_bytes / 2, 1_MiB);
  }
  all.options.network = network_of(all.costs, {.link_bytes_per_s = given.link_gbit * 1e9 / 8,
                                               .latency_ns = given.link_latency_us * 1e3,
                                               .core_latency_ns = given.core_latency_us * 1e3,
                                               .oversubscription = all.layout.oversubscription,
                                               .hosts_per_rack = all.layout.hosts_per_rack(),
                                               .cores = all.layout.cores});
  all.options.disk = disk_of(all.costs);
  all.options.work = all.costs.work;
  all.options.seed = given.seed;

  const auto available = numa::SystemFiles().memory_available();
  const std::uint64_t needed = sim::memory_for(all.options);
  if (available && needed > *available)
    return fail(
        Code::full, kOperation,
        fmt::format("this takes about {} of memory, and {} are to be had here; simulate fewer or smaller "
                    "objects (--objects, --object-size) or fewer members",
                    format_bytes(needed), format_bytes(*available)));
  return all;
}

int complain(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return error.code == Code::invalid ? kWrongUsage : 1;
}

void add_workload_options(CLI::App& command, SimulateOptions& options) {
  command.add_option("--workload", options.workload, "shuffle, broadcast, random or outofcore")->required();
  command.add_option("--members", options.members,
                     "processes of the job; all places of the topology by default");
  command.add_option("--topology", options.topology, "where they run; by default each on a host of its own");
  command.add_option("--object-size", options.object_size, "bytes of each object")->capture_default_str();
  command.add_option("--objects", options.objects, "objects: see the workloads; 16 by default");
  command.add_option("--gets", options.gets, "gets of each member: random, outofcore")->capture_default_str();
  command
      .add_option("--skew", options.skew,
                  "Zipf's exponent: 0 wants all alike; random 0.99, outofcore 0 by default")
      ->check(CLI::Range(0.0, 10.0));
  command.add_option("--in-flight", options.in_flight, "gets that a member has under way")
      ->capture_default_str();
  command.add_option("--arena", options.arena,
                     "bytes of arena a member; by default what its objects take, half of it out of core");
  command.add_option("--disks", options.disks, "disks of each host, shared by its members; out of core 1")
      ->check(CLI::Range(1, 64));
  command
      .add_option("--same-host", options.same_host,
                  "how members on one host read each other (HOLDFAST_SAME_HOST)")
      ->check(CLI::IsMember({"memory", "fabric"}))
      ->capture_default_str();
}

void add_cost_options(CLI::App& command, SimulateOptions& options) {
  command.add_option("--costs", options.costs,
                     "what operations cost: a file by `holdfast bench --json FILE`");
  command
      .add_option("--fabric", options.fabric,
                  "tcp or rdma; by default that of the costs file, rdma without one")
      ->check(CLI::IsMember({"tcp", "rdma"}));
  command
      .add_option("--link-gbit", options.link_gbit,
                  "Gbit/s of a host's link; by default as fast as large gets were measured")
      ->check(CLI::Range(0.001, 100'000.0));
  command.add_option("--link-latency-us", options.link_latency_us, "one way, within a rack")
      ->check(CLI::Range(0.001, 1e6));
  command.add_option("--core-latency-us", options.core_latency_us, "one way, in addition, between racks")
      ->check(CLI::Range(0.001, 1e6));
}

}  // namespace

int run_simulate(const SimulateOptions& options) {
  // What members would log is in the forecast, and would be logged by each of them.
  set_log_level(LogLevel::error);
  auto planned = plan(options);
  if (!planned) return complain(planned.error());
  auto forecast = sim::forecast(planned->options);
  if (!forecast) return complain(forecast.error());
  planned->forecast = *forecast;
  const std::string json = simulated_json(*planned).dump(2) + "\n";
  if (options.json == "-") {
    fmt::print("{}", json);
    return 0;
  }
  fmt::print("{}", simulated_text(*planned));
  if (options.json.empty()) return 0;
  std::ofstream out(options.json);
  out << json;
  out.close();
  return out ? 0 : complain({Code::system, std::string(kOperation), "cannot write " + options.json});
}

void add_simulate_command(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<SimulateOptions>();
  CLI::App* const command = app.add_subcommand(
      "simulate", "What if: the time, traffic and spilling of a workload on a cluster that is not at hand");
  add_workload_options(*command, *options);
  add_cost_options(*command, *options);
  command->add_option("--seed", options->seed, "of what is drawn; the same seed gives the same forecast")
      ->capture_default_str();
  command->add_option("--json", options->json, "write the forecast to this file, too; -: to standard output");
  command->footer(kFooter);
  command->callback([options, command, &exit_code] {
    // A figure that is given is taken as it is: 0 is an error, not a default.
    SimulateOptions given = *options;
    if (command->count("--objects") == 0) given.objects = 16;
    if (command->count("--members") == 0) {
      const auto layout = parse_layout(given.topology);
      if (given.topology.empty()) {
        std::fprintf(stderr, "holdfast simulate: say how many: --members, or --topology\n");
        exit_code = kWrongUsage;
        return;
      }
      if (layout)
        given.members = static_cast<std::uint32_t>(std::min<std::uint64_t>(layout->places(), UINT32_MAX));
    }
    exit_code = run_simulate(given);
  });
}

}  // namespace holdfast::cli
