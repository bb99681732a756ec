// Members on the same host, as the rest of core sees them: whose arenas can be mapped, and who pins what.
// Real ones meet over sockets (socket_neighbours.h); the simulator puts in its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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

  /// Told once what came of an attach: by a thread of this object's, or from inside the call; never after
  /// this object has gone. Errors: owner_lost (the neighbour's process has ended), denied (another user),
  /// system.
  using Attached = std::function<void(Result<std::unique_ptr<View>>)>;

  /// Begins to map a neighbour's arena. One that is stopped answers when it goes on, if ever: who does not
  /// want to wait so long does something else. Any thread.
  virtual void attach(MemberId rank, const Card& card, Attached attached) = 0;

  /// Sets `view->lost` when its owner goes. The view outlives this object. Any thread.
  virtual void watch(View* view) = 0;

  /// True if any process on this host announces a pin of this block of this member. Any thread.
  virtual bool pinned(const PinnedBlock& block) const = 0;

  /// The processes that announce one, as people know them: "process 4711, 2 times". Any thread.
  virtual std::vector<std::string> pinning(const PinnedBlock& block) const = 0;

  /// The locations of all blocks of a member that any process on this host announces, sorted. Any thread.
  virtual std::vector<std::uint64_t> pinned_locations(MemberId owner) const = 0;

  /// Neighbours that have gone since this member attached to them.
  virtual std::uint64_t lost() const noexcept = 0;
};

}  // namespace holdfast
