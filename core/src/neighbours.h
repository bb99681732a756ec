// Members on the same host, as the rest of core sees them: whose arenas can be mapped, and who pins what.
// Real ones meet over sockets (socket_neighbours.h); the simulator puts in its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "src/card.h"
#include "src/ledger.h"
#include "src/view.h"

namespace holdfast {

class Neighbours {
 public:
  Neighbours() = default;
  Neighbours(const Neighbours&) = delete;
  Neighbours& operator=(const Neighbours&) = delete;
  virtual ~Neighbours() = default;  ///< leaves: those attached see this member as lost

  /// Maps a neighbour's arena. Errors: owner_lost (its process has ended), denied (another user), timed_out,
  /// system. Any thread.
  virtual Result<std::unique_ptr<View>> attach(MemberId rank, const Card& card, Deadline deadline) = 0;

  /// Sets `view->lost` when its owner goes. The view outlives this object. Any thread.
  virtual void watch(View* view) = 0;

  /// True if any process on this host announces a pin of this block of this member. Any thread.
  virtual bool pinned(const PinnedBlock& block) const = 0;

  /// The processes that announce one, as people know them: "process 4711". Any thread.
  virtual std::vector<std::string> pinning(const PinnedBlock& block) const = 0;

  /// The locations of all blocks of a member that any process on this host announces, sorted. Any thread.
  virtual std::vector<std::uint64_t> pinned_locations(MemberId owner) const = 0;

  /// Neighbours that have gone since this member attached to them.
  virtual std::uint64_t lost() const noexcept = 0;
};

}  // namespace holdfast
