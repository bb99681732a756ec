#include "fabric/ofi/locked_memory.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "holdfast/base/units.h"

namespace holdfast::fabric {
namespace {

/// Whether this process is exempt: root of the machine, or one with the capability. The kernel asks for it in
/// the first user namespace, so that root of a container of its own is not.
bool is_exempt(std::uint64_t capabilities) {
  constexpr unsigned kIpcLock = 14;                   // CAP_IPC_LOCK
  constexpr ino_t kFirstUserNamespace = 0xEFFFFFFDU;  // PROC_USER_INIT_INO
  if ((capabilities >> kIpcLock & 1) == 0) return false;
  struct stat space {};
  return ::stat("/proc/self/ns/user", &space) != 0 || space.st_ino == kFirstUserNamespace;
}

/// A field of /proc/self/status; 0 where it is not there.
std::uint64_t status_field(std::string_view name, int base) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, base);
  return 0;
}

}  // namespace

LockedMemory LockedMemory::of_this_process() {
  if (is_exempt(status_field("CapEff:", 16))) return {};
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return {};
  static_assert(RLIM_INFINITY == UINT64_MAX);
  return {limit.rlim_cur, limit.rlim_max};
}

bool pins_memory(const FabricInfo& info) noexcept { return info.rdma && info.needs_attach; }

std::uint64_t bytes_to_pin(const OfiOptions& options) noexcept {
  return options.memory + options.most_endpoints * kPinnedAnEndpoint;
}

namespace ofi {

std::uint64_t pinned_now() { return status_field("VmPin:", 10) << 10; }

std::string how_to_lock_more() {
  return "Raise it: `ulimit -l unlimited` before starting (hard limit: memlock in /etc/security/limits.conf, "
         "LimitMEMLOCK= in the unit of the resource manager), or use less memory (HOLDFAST_ARENA), or TCP "
         "(HOLDFAST_PROVIDER=net)";
}

Status check_locked_memory(const FabricInfo& info, const OfiOptions& options, const LockedMemory& limit,
                           std::uint64_t pinned) {
  if (!pins_memory(info) || options.memory == 0) return {};
  const std::uint64_t wanted = bytes_to_pin(options);
  const std::uint64_t left = limit.soft - std::min(limit.soft, pinned);
  if (limit.soft == UINT64_MAX || wanted <= left) return {};
  return fail(
      Code::denied, "open_ofi",
      fmt::format("{} on {} has to lock {} of memory ({} and the buffers of {} endpoints), and the limit of "
                  "this process is {}{}. {}",
                  info.provider, info.domain, format_bytes(wanted), format_bytes(options.memory),
                  options.most_endpoints, format_bytes(limit.soft),
                  pinned == 0 ? "" : fmt::format(", of which {} are locked already", format_bytes(pinned)),
                  how_to_lock_more()) +
          "; fewer endpoints want less, too (StoreOptions::reading_endpoints)");
}

}  // namespace ofi
}  // namespace holdfast::fabric
