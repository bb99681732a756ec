// The limit on memory that a process may pin for a device (RLIMIT_MEMLOCK), and what is pinned.
#pragma once

#include <cstdint>

#include "holdfast/base/result.h"
#include "holdfast/fabric/ofi.h"

namespace holdfast::fabric::ofi {

/// What this process has pinned for devices (VmPin), in bytes; 0 where the kernel does not tell.
std::uint64_t pinned_now();

/// Why the limit is too low for what the options say; good where it is not, or nothing is pinned. `pinned`
/// counts for it already. Errors: denied, with the fix.
Status check_locked_memory(const FabricInfo& info, const OfiOptions& options, const LockedMemory& limit,
                           std::uint64_t pinned);

/// How to raise the limit, or to do without.
std::string how_to_lock_more();

}  // namespace holdfast::fabric::ofi
