// What a member holds when nobody uses the store: it must be the same after each round of a soak.
#pragma once

#include <cstdint>
#include <string>

#include "holdfast/holdfast.h"

namespace holdfast::soak {

struct Books {
  // Of the process.
  std::uint64_t heap_bytes =
      0;  ///< anonymous memory that is resident, after malloc has given back what it can
  std::uint64_t descriptors = 0;  ///< open, without sockets and spill files
  std::uint64_t sockets = 0;
  std::uint64_t spill_files = 0;  ///< open: a spare one may stay
  std::uint64_t threads = 0;      ///< without the kernel's own for io_uring, which come and go
  // Of the store.
  std::uint64_t arena_bytes = 0;  ///< used, without cached objects
  std::uint64_t kept = 0;         ///< objects that something keeps
  std::uint64_t held_elsewhere = 0, names = 0, waiters = 0, puts_waiting = 0, awaiting_unpin = 0,
                pinned_bytes = 0;
  std::uint64_t on_disk = 0, spilling = 0, quarantined = 0;
  std::uint64_t disk_bytes = 0;  ///< live in the spill files

  static Books of(const Store& store);

  /// Nothing of what the rounds have put is there any more. Tokens take their lifetime for it.
  bool at_rest() const noexcept;
  std::string text() const;
};

/// What has grown since `before`, in words; empty: nothing. Less is no fault: a member that died takes its
/// connections with it. `late_connections`: sockets that may have come since.
std::string grown(const Books& before, const Books& now, std::uint64_t late_connections);

}  // namespace holdfast::soak
