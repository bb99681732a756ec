// Members of a simulated host that map each other's memory: what sockets and descriptors are to real ones.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "holdfast/fabric/sim/network.h"
#include "src/local_memory.h"
#include "src/neighbours.h"

namespace holdfast::sim {

class HostNeighbours;

/// All members that run, wherever; a card names one by its incarnation.
class Hosts {
 public:
  explicit Hosts(const Network& network) : network_(network) {}

  /// A process of the host that was stopped runs again: it answers those who wait to map its memory.
  void gone_on(HostId host);

 private:
  friend class HostNeighbours;
  const Network& network_;
  using Running = std::map<std::uint64_t, HostNeighbours*>;
  std::map<std::uint32_t, Running> running_;            ///< by host, then by incarnation
  std::vector<std::shared_ptr<LocalMemory>> memories_;  ///< of the dead, too: who maps memory keeps it
};

class HostNeighbours final : public Neighbours {
 public:
  /// `hosts` outlives it.
  HostNeighbours(Hosts& hosts, ProcessId process, std::uint64_t incarnation,
                 std::shared_ptr<LocalMemory> memory);
  ~HostNeighbours() override;

  /// At once, unless the neighbour is stopped.
  void attach(MemberId rank, const Card& card, Attached attached) override;
  void watch(View* view) override { watched_.push_back(view); }
  bool pinned(const PinnedBlock& block) const override;
  std::vector<std::string> pinning(const PinnedBlock& block) const override;
  std::vector<std::uint64_t> pinned_locations(MemberId owner) const override;
  std::uint64_t lost() const noexcept override { return lost_; }

 private:
  friend class Hosts;
  struct Knock {
    MemberId rank;
    Card card;
    Attached attached;
  };
  void knock_again();
  std::unique_ptr<View> view_of(HostNeighbours& owner, MemberId rank, const Card& card);
  Hosts::Running& on_this_host() const { return hosts_.running_[hosts_.network_.host_of(process_).value]; }

  Hosts& hosts_;
  ProcessId process_;
  std::uint64_t incarnation_;
  std::shared_ptr<LocalMemory> memory_;
  std::map<std::uint64_t, Ledger*> readers_;  ///< attached to this member, by incarnation
  std::vector<View*> watched_;
  std::vector<Knock> knocks_;  ///< at neighbours that are stopped
  std::uint64_t lost_ = 0;
};

}  // namespace holdfast::sim
