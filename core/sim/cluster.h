// A whole job of members in one thread, under virtual time: the production code of each on a simulated
// network. Its runs are a function of its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "holdfast/fabric/sim/disk.h"
#include "holdfast/fabric/sim/network.h"
#include "holdfast/fabric/sim/timeline.h"
#include "holdfast/numa/topology.h"
#include "sim/hosts.h"
#include "sim/life.h"

namespace holdfast::sim {

struct ClusterOptions {
  std::uint32_t members = 2;
  std::uint32_t members_per_host = 1;  ///< ranks one after the other
  std::uint32_t hosts_per_rack = 4;
  std::vector<std::uint32_t> racks;  ///< of each host, instead of hosts_per_rack
  std::uint32_t disks = 0;           ///< of each member, to spill to
  std::uint32_t host_disks = 0;      ///< of each host, shared evenly by its members, instead of disks
  std::string topology;              ///< of each host, in hwloc's words for synthetic ones; empty: one node
  LifeOptions life;
  NetworkOptions network;
  DiskOptions disk;
};

/// Faults come from events of the timeline, or from outside, never from inside a member's own code.
class Cluster {
 public:
  /// All members have joined. Errors: as Life::begin and Life::join.
  static Result<std::unique_ptr<Cluster>> start(std::uint64_t seed, const ClusterOptions& options);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  Timeline& timeline() noexcept { return timeline_; }
  Network& network() noexcept { return network_; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(members_.size()); }
  ProcessId process(MemberId member) const { return members_[member.value].process; }
  HostId host(MemberId member) const { return network_.host_of(process(member)); }

  /// The member's present life; nullptr while there is none.
  Life* life(MemberId member) const { return members_[member.value].life.get(); }
  /// As life(), while it runs: it neither is stopped nor leaves.
  Life* running(MemberId member);
  /// Lives it has had.
  std::uint32_t lives(MemberId member) const { return members_[member.value].lives; }

  /// Those it has whatever becomes of its lives.
  std::span<const std::unique_ptr<Disk>> disks(MemberId member) const { return members_[member.value].disks; }

  /// SIGSTOP and SIGCONT, its disks included.
  void stop(MemberId member);
  void resume(MemberId member);
  /// SIGKILL. Nothing where it does not live.
  void crash(MemberId member);
  /// Closes its store and ends. Nothing where it does not run.
  void leave(MemberId member);
  /// A new life at the same address. It knows the others as they are now; they know only the one they met
  /// when the job started, as there is no late join: it finds that it is a stranger. Nothing where it lives.
  void restart(MemberId member);

 private:
  struct Member {
    ProcessId process;
    std::vector<std::unique_ptr<Disk>> disks;
    std::unique_ptr<Life> life;
    std::uint32_t lives = 0;
  };
  Cluster(std::uint64_t seed, const ClusterOptions& options, const numa::Topology& topology);
  Result<std::unique_ptr<Life>> begin(MemberId member);
  HostId add_host(std::uint32_t number);
  void add_disks(std::uint32_t rank);

  ClusterOptions options_;
  numa::Topology topology_;
  Timeline timeline_;
  Network network_;
  Hosts hosts_;
  std::vector<Member> members_;
  std::shared_ptr<const std::vector<Card>> cards_;  ///< of the present lives
};

}  // namespace holdfast::sim
