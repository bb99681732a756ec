// Where memory and threads lie: the few system calls of Linux that set it, and the one that asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "holdfast/numa/topology.h"

namespace holdfast::numa {

enum class Binding : std::uint8_t {
  strict,     ///< pages come from the node or not at all (MPOL_BIND)
  preferred,  ///< pages come from the node while it has any (MPOL_PREFERRED)
};

/// Sets the policy of memory that has not been touched yet; `range` covers whole pages. Returns 0 or errno
/// (ENOSYS: no NUMA in this kernel; EPERM: a container's filter).
int bind_memory(std::span<std::byte> range, NodeId node, Binding binding) noexcept;

/// Pages that were looked at.
struct PagesSeen {
  std::uint64_t there = 0;      ///< that exist
  std::uint64_t elsewhere = 0;  ///< of these, on another node than the one asked for
};

/// Asks the kernel for at most `most` pages of `range`, evenly spread, on which node they lie: nothing is
/// there where it does not tell. Touches nothing. A page takes it a third of a microsecond.
PagesSeen look_at_pages(std::span<const std::byte> range, std::uint64_t page_bytes, NodeId node,
                        std::uint64_t most);

/// Keeps the calling thread on those of `cpus` that it may run on already; leaves it alone where that is
/// none. So a thread never leaves the cores its launcher gave to the process.
void keep_thread_on(const std::vector<std::uint32_t>& cpus);

/// Lets other threads go first, but not so far that one that waits for a lock of this thread's waits long:
/// nice 10, a tenth of an ordinary thread's share. Only the calling thread is changed.
void lower_thread_priority() noexcept;

}  // namespace holdfast::numa
