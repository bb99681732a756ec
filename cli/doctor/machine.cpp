#include "cli/doctor/machine.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "holdfast/base/environment.h"
#include "holdfast/base/file.h"
#include "holdfast/base/log.h"
#include "holdfast/numa/system_files.h"
#include "holdfast/store.h"

namespace holdfast::cli {
namespace {

/// The first word of a file; empty where it cannot be read.
std::string first_word(const char* path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

int try_memfd() {
  const File file(::memfd_create("holdfast-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return errno;
  if (::ftruncate(file.get(), 4096) != 0) return errno;
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return errno;
  return 0;
}

int try_io_uring() {
#ifdef SYS_io_uring_setup
  std::array<std::uint64_t, 32> parameters{};  // struct io_uring_params, 120 bytes, all zero
  const File ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, parameters.data())));
  return ring ? 0 : errno;
#else
  return ENOSYS;
#endif
}

/// libfabric offers a provider once for every address and capability; one of each is enough to read.
Result<std::vector<fabric::OfiCandidate>> distinct(Result<std::vector<fabric::OfiCandidate>> all) {
  if (!all) return all;
  std::vector<fabric::OfiCandidate> once;
  for (fabric::OfiCandidate& candidate : *all) {
    const auto same = [&](const fabric::OfiCandidate& other) {
      return other.info.provider == candidate.info.provider && other.info.domain == candidate.info.domain &&
             other.reason == candidate.reason;
    };
    if (std::ranges::none_of(once, same)) once.push_back(std::move(candidate));
  }
  return once;
}

/// What Store::open makes of the environment beside its options.
void look_at_environment(Machine& machine) {
  const auto environment = Environment::read();
  if (!environment) {
    machine.launch_unasked = "the environment cannot be read";
    return;
  }
  for (const VariableInfo& variable : known_variables())
    if (const auto value = environment->get(variable.variable))
      machine.variables.push_back(std::string(variable.name) + "=" + std::string(*value));
  if (const auto level = environment->get(Variable::log)) {
    const auto parsed = parse_log_level(*level);
    if (!parsed) machine.log_level = tl::unexpected(parsed.error());
  }
  const auto choice = fabric::Launch::choose(*environment);
  if (choice && choice->answers_once) {  // the job's own program needs the answer
    machine.launch_unasked = "this is a rank of a job, and its launcher answers each rank once";
    return;
  }
  const auto launch = fabric::Launch::find(*environment);
  if (launch)
    machine.launch = (*launch)->identity();
  else
    machine.launch = tl::unexpected(launch.error());
}

/// Opens what the environment asks for, with nobody else. After look_at_environment(): it forgets the job.
Status open_alone(Machine& machine) {
  if (!machine.options) return tl::unexpected(machine.options.error());
  ::setenv("HOLDFAST_LAUNCHER", "alone", 1);  // NOLINT(concurrency-mt-unsafe): there is one thread
  StoreOptions options = *machine.options;
  options.arena.prefault = numa::ArenaOptions::Prefault::none;
  HOLDFAST_TRY(Store store, Store::open(options));
  const Stats stats = store.stats();
  machine.opened_provider = stats.provider;
  for (const NodeStats& node : stats.nodes)
    if (!node.segment.bound) machine.unbound_nodes.push_back(node.segment.note);
  return store.close();
}

}  // namespace

Machine look_at_machine() {
  Machine machine;
  machine.options = StoreOptions::from_environment();
  look_at_environment(machine);
  const numa::SystemFiles files;
  if (const auto topology = numa::Topology::discover()) {
    machine.nodes = topology->nodes();
    machine.nics = topology->nics();
  }
  machine.transparent_memfd = files.transparent_memfd_allowed();
  machine.memfd_error = try_memfd();
  const numa::MemoryLimit limit = files.memory_limit();
  machine.memory_limit = limit.bytes;
  machine.memory_limit_source = limit.source;
  machine.memory_available = files.memory_available();
  struct statvfs shm {};
  if (::statvfs("/dev/shm", &shm) == 0) machine.shm_bytes = std::uint64_t{shm.f_bavail} * shm.f_frsize;
  const auto locked = fabric::LockedMemory::of_this_process();
  machine.locked_memory = locked.soft;
  machine.most_locked_memory = locked.hard;
  fabric::OfiOptions wanted;
  if (machine.options) wanted = {machine.options->provider, machine.options->interface};
  machine.providers = distinct(fabric::probe_ofi(wanted));
  machine.io_uring_error = try_io_uring();
  if (const std::string scope = first_word("/proc/sys/kernel/yama/ptrace_scope"); !scope.empty())
    machine.ptrace_scope = std::atoi(scope.c_str());
  machine.clock_source = first_word("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  machine.opened = open_alone(machine);
  return machine;
}

}  // namespace holdfast::cli
