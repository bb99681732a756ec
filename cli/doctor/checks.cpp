#include "cli/doctor/checks.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <optional>

#include "holdfast/base/units.h"
#include "holdfast/numa/system_files.h"

namespace holdfast::cli {
namespace {

using namespace holdfast::literals;

const char* text_of(int error) { return ::strerrordesc_np(error); }

StoreOptions options_of(const Machine& machine) { return machine.options.value_or(StoreOptions{}); }

Finding check_environment(const Machine& machine) {
  if (machine.options)
    return {"environment", Health::ok, "every HOLDFAST_ variable is known and can be read", ""};
  return {"environment", Health::problem, machine.options.error().message(),
          "correct or unset the variable; holdfast --help lists all"};
}

Finding check_log_level(const Machine& machine) {
  if (machine.log_level) return {"log level", Health::ok, "HOLDFAST_LOG is unset or can be read", ""};
  return {"log level", Health::problem, "HOLDFAST_LOG: " + machine.log_level.error().detail,
          "export HOLDFAST_LOG=warning    # or unset it"};
}

Finding check_launcher(const Machine& machine) {
  constexpr const char* kName = "launcher";
  if (!machine.launch_unasked.empty()) return {kName, Health::ok, "not asked: " + machine.launch_unasked, ""};
  if (!machine.launch)
    return {kName, Health::problem, machine.launch.error().message(),
            "unset HOLDFAST_LAUNCHER HOLDFAST_RENDEZVOUS HOLDFAST_RANK HOLDFAST_SIZE HOLDFAST_JOB    # "
            "holdfast-run and others set what they need"};
  return {
      kName, Health::ok,
      fmt::format("{}: rank {} of {}", machine.launch->launcher, machine.launch->rank, machine.launch->size),
      ""};
}

/// The first that fits, where libfabric could be asked.
std::optional<fabric::OfiCandidate> chosen_provider(const Machine& machine) {
  if (!machine.providers) return std::nullopt;
  const auto chosen = std::ranges::find_if(*machine.providers, &fabric::OfiCandidate::usable);
  return chosen == machine.providers->end() ? std::nullopt : std::optional(*chosen);
}

Finding check_providers(const Machine& machine) {
  constexpr const char* kName = "provider";
  constexpr const char* kInstall =
      "apt-get install libfabric1, and bring a network interface up: ip link set lo up";
  if (!machine.providers) return {kName, Health::problem, machine.providers.error().message(), kInstall};
  const auto chosen = chosen_provider(machine);
  if (!chosen) return {kName, Health::problem, "libfabric offers no provider that fits", kInstall};
  const std::string found =
      fmt::format("{} on {}: {}", chosen->info.provider, chosen->info.domain, chosen->reason);
  const auto device = std::ranges::find(machine.nics, "infiniband", &numa::Nic::kind);
  if (!chosen->info.rdma && device != machine.nics.end() && options_of(machine).provider.empty())
    return {kName, Health::warning, fmt::format("{}; the RDMA device {} is not used", found, device->name),
            "ibv_devinfo    # shows its state; apt-get install ibverbs-utils ibverbs-providers"};
  return {kName, Health::ok, found, ""};
}

bool uses_pinned_memory(const Machine& machine) {
  const auto chosen = chosen_provider(machine);
  return chosen && fabric::pins_memory(chosen->info);
}

Finding check_memory(const Machine& machine) {
  const std::uint64_t arena = options_of(machine).arena.bytes;
  const std::string limit =
      fmt::format("{} by {}", format_bytes(machine.memory_limit), machine.memory_limit_source);
  if (arena > machine.memory_limit)
    return {"memory", Health::problem,
            fmt::format("an arena of {} does not fit: memory is limited to {}", format_bytes(arena), limit),
            fmt::format("export HOLDFAST_ARENA={}MiB", (machine.memory_limit / 4) >> 20)};
  if (machine.memory_available && arena > *machine.memory_available)
    return {"memory", Health::warning,
            fmt::format("an arena of {} a rank, and {} are free of {}", format_bytes(arena),
                        format_bytes(*machine.memory_available), limit),
            fmt::format("export HOLDFAST_ARENA={}MiB", (*machine.memory_available / 4) >> 20)};
  return {"memory", Health::ok,
          fmt::format("an arena of {} a rank; limited to {}", format_bytes(arena), limit), ""};
}

Finding check_memfd(const Machine& machine) {
  if (machine.memfd_error == 0) return {"shared memory", Health::ok, "sealed memfds work", ""};
  return {
      "shared memory", Health::problem,
      fmt::format("a sealed memfd cannot be made: {}", text_of(machine.memfd_error)),
      "allow memfd_create and fcntl(F_ADD_SEALS) in the container's seccomp profile; Linux 3.17 or newer"};
}

std::uint64_t free_huge_bytes(const Machine& machine) {
  std::uint64_t bytes = 0;
  for (const numa::Node& node : machine.nodes)
    for (const numa::HugePages& pages : node.huge_pages) bytes += pages.free * pages.page_bytes;
  return bytes;
}

/// Nodes that the arena would lie on, as Arena::create chooses them.
std::vector<numa::Node> nodes_of_arena(const Machine& machine) {
  const auto& wanted = options_of(machine).arena.nodes;
  std::vector<numa::Node> nodes;
  for (const numa::Node& node : machine.nodes)
    if (wanted.empty() ? node.memory_bytes > 0 : std::ranges::find(wanted, node.id) != wanted.end())
      nodes.push_back(node);
  return nodes;
}

/// True where one of the node's pools, of pages that the policy allows, holds all of a segment.
bool holds(const numa::Node& node, std::uint64_t segment, const numa::PagePolicy& policy) {
  const bool required = policy.demand == numa::PagePolicy::Demand::require;
  const std::uint64_t largest = policy.largest == numa::Pages::huge_1g ? 1_GiB : 2_MiB;
  return std::ranges::any_of(node.huge_pages, [&](const numa::HugePages& pool) {
    const bool allowed =
        required ? pool.page_bytes == largest : pool.page_bytes <= largest && pool.page_bytes <= segment;
    return allowed && pool.free >= (segment + pool.page_bytes - 1) / pool.page_bytes;
  });
}

/// What reserves the pages a segment lacks on a node, of the size required or else of 2 MiB.
std::string reserve_on(const numa::Node& node, std::uint64_t segment, const numa::PagePolicy& policy) {
  const bool giant =
      policy.demand == numa::PagePolicy::Demand::require && policy.largest == numa::Pages::huge_1g;
  const std::uint64_t page = giant ? 1_GiB : 2_MiB;
  const auto pool = std::ranges::find(node.huge_pages, page, &numa::HugePages::page_bytes);
  const std::uint64_t in_use = pool == node.huge_pages.end() ? 0 : pool->total - pool->free;
  return fmt::format("echo {} > {}", in_use + (segment + page - 1) / page,
                     numa::SystemFiles::huge_pages_path(node.id, page));
}

Finding check_huge_pages(const Machine& machine) {
  constexpr const char* kName = "huge pages";
  const StoreOptions options = options_of(machine);
  const auto& policy = options.arena.pages;
  const bool huge_wanted = policy.largest == numa::Pages::huge_2m || policy.largest == numa::Pages::huge_1g;
  if (!huge_wanted) return {kName, Health::ok, "HOLDFAST_PAGES asks for none", ""};
  const std::vector<numa::Node> nodes = nodes_of_arena(machine);
  const std::uint64_t segment = options.arena.bytes / std::max<std::size_t>(nodes.size(), 1);
  std::string lacking, fix;
  for (const numa::Node& node : nodes) {
    if (holds(node, segment, policy)) continue;
    lacking += fmt::format("{}{}", lacking.empty() ? "" : ", ", node.id.value);
    fix += fmt::format("{}{}", fix.empty() ? "" : "; ", reserve_on(node, segment, policy));
  }
  const std::string free = format_bytes(free_huge_bytes(machine)) + " free";
  if (lacking.empty() && !nodes.empty()) return {kName, Health::ok, free, ""};
  const std::string found =
      fmt::format("{}, an arena wants {}: too few on node{} {}", free,
                  nodes.size() < 2 ? format_bytes(options.arena.bytes) : format_bytes(segment) + " a node",
                  lacking.find(',') == std::string::npos ? "" : "s", lacking);
  fix += "    # as root, for one arena";
  if (policy.demand == numa::PagePolicy::Demand::require)
    return {kName, Health::problem, found + "; HOLDFAST_PAGES requires them", fix};
  return {kName, Health::warning, found + "; it comes on smaller pages, slower to touch first", fix};
}

Finding check_transparent(const Machine& machine) {
  constexpr const char* kName = "transparent huge pages";
  const auto& policy = options_of(machine).arena.pages;
  if (policy.largest == numa::Pages::base) return {kName, Health::ok, "HOLDFAST_PAGES asks for none", ""};
  if (machine.transparent_memfd) return {kName, Health::ok, "on for memfds that ask for them", ""};
  const bool required =
      policy.largest == numa::Pages::transparent && policy.demand == numa::PagePolicy::Demand::require;
  return {kName, required ? Health::problem : Health::warning, "off for memfds, the kernel's default",
          "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled    # as root"};
}

Finding check_locked_memory(const Machine& machine) {
  constexpr const char* kName = "locked memory";
  if (machine.locked_memory == UINT64_MAX) return {kName, Health::ok, "no limit", ""};
  const StoreOptions options = options_of(machine);
  const std::uint64_t wanted =
      fabric::bytes_to_pin({.memory = options.arena.bytes, .most_endpoints = options.reading_endpoints + 1});
  const std::string found = fmt::format("limited to {}", format_bytes(machine.locked_memory));
  if (machine.locked_memory >= wanted) return {kName, Health::ok, found, ""};
  if (!uses_pinned_memory(machine)) return {kName, Health::ok, found + "; only RDMA devices need more", ""};
  const std::string problem = fmt::format(
      "{}; the RDMA device has to lock {}, for an arena of {} and the buffers of {} endpoints", found,
      format_bytes(wanted), format_bytes(options.arena.bytes), options.reading_endpoints + 1);
  if (machine.most_locked_memory >= wanted)
    return {kName, Health::problem, problem,
            "ulimit -l unlimited    # before starting; for good: memlock in /etc/security/limits.conf"};
  return {
      kName, Health::problem, problem + ", and only root can raise the limit",
      "echo '* - memlock unlimited' >> /etc/security/limits.conf    # as root, then log in again; for Slurm "
      "LimitMEMLOCK=infinity in the unit of slurmd"};
}

Finding check_shm(const Machine& machine) {
  constexpr const char* kName = "/dev/shm";
  if (machine.shm_bytes && *machine.shm_bytes >= 64_MiB)
    return {
        kName, Health::ok,
        fmt::format("{} free; Holdfast does not use it, MPI beside it may", format_bytes(*machine.shm_bytes)),
        ""};
  return {kName, Health::warning,
          fmt::format("{}; Holdfast does not use it, but MPI libraries beside it do",
                      machine.shm_bytes ? format_bytes(*machine.shm_bytes) + " free" : "not mounted"),
          machine.shm_bytes ? "mount -o remount,size=50% /dev/shm    # as root; docker run --shm-size=1g"
                            : "mount -t tmpfs -o mode=1777 shm /dev/shm    # as root"};
}

Finding check_io_uring(const Machine& machine) {
  if (machine.io_uring_error == 0) return {"io_uring", Health::ok, "permitted", ""};
  return {"io_uring", Health::warning,
          fmt::format("refused: {}; spilling to disk works without it, but slower",
                      text_of(machine.io_uring_error)),
          "sysctl kernel.io_uring_disabled=0    # as root; or allow it in the container's seccomp profile"};
}

Finding check_ptrace(const Machine& machine) {
  const std::string found =
      machine.ptrace_scope ? fmt::format("{}", *machine.ptrace_scope) : "no Yama in the kernel";
  return {"ptrace scope", Health::ok, found + "; Holdfast never reads processes that way", ""};
}

Finding check_clock(const Machine& machine) {
  // Those that are read without a system call.
  constexpr std::array kFast = {"tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"};
  if (machine.clock_source.empty()) return {"clock", Health::ok, "the kernel does not say which it uses", ""};
  if (std::ranges::find(kFast, machine.clock_source) != kFast.end())
    return {"clock", Health::ok, machine.clock_source, ""};
  return {"clock", Health::warning, machine.clock_source + ": every look at the time is a system call",
          "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource    # as root, where "
          "available_clocksource beside it lists tsc"};
}

/// The proof of all the others, and what finds what they know nothing of.
Finding check_store(const Machine& machine, Health others) {
  constexpr const char* kName = "store";
  if (machine.opened) {
    if (!machine.unbound_nodes.empty())
      return {kName, Health::warning,
              fmt::format("opens, but not on the nodes that were asked for: {}",
                          fmt::join(machine.unbound_nodes, "; ")),
              "the messages name it"};
    const auto expected = chosen_provider(machine);
    if (expected && !machine.opened_provider.empty() && expected->info.provider != machine.opened_provider)
      return {kName, Health::warning,
              fmt::format("opens, but over {}: {} cannot serve it, as its log says", machine.opened_provider,
                          expected->info.provider),
              "HOLDFAST_PROVIDER='" + expected->info.provider + "' holdfast doctor    # tells why"};
    return {kName, Health::ok, "opens", ""};
  }
  std::string fix = "mend the problems above; where there is none, the message is all that is known";
  if (others != Health::problem && !machine.variables.empty())
    fix = fmt::format("change or unset one of {}    # holdfast --help tells what each takes",
                      fmt::join(machine.variables, " "));
  return {kName, Health::problem, "does not open: " + machine.opened.error().message(), std::move(fix)};
}

}  // namespace

std::vector<Finding> check_machine(const Machine& machine) {
  std::vector<Finding> findings = {
      check_environment(machine), check_log_level(machine),   check_launcher(machine),
      check_providers(machine),   check_memory(machine),      check_memfd(machine),
      check_huge_pages(machine),  check_transparent(machine), check_locked_memory(machine),
      check_shm(machine),         check_clock(machine),       check_io_uring(machine),
      check_ptrace(machine)};
  findings.push_back(check_store(machine, worst(findings)));
  return findings;
}

Health worst(const std::vector<Finding>& findings) {
  Health worst = Health::ok;
  for (const Finding& finding : findings) worst = std::max(worst, finding.health);
  return worst;
}

}  // namespace holdfast::cli
