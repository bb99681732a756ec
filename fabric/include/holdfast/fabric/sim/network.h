// A network in one thread, under virtual time: hosts in racks, processes on them, and what can go wrong.
//
// Costs follow LogGP (Alexandrov, Ionescu, Schauser, Scheiman 1995, doi:10.1145/215399.215427), with a
// latency L, a processor overhead o, a gap g between messages and a bandwidth 1/G for each class of link.
// What a message of k bytes takes on an idle network without jitter:
//
//   send until delivered   o + kG + L + o
//   read until it ends     o + L + kG + L + o     (+ o at the owner where one-sided reads need it)
//
// A NIC sends one thing at a time and is busy for max(g, kG); what comes in is taken in at 1/G, too. Times of
// bytes are rounded up to a nanosecond per message, not per piece.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "holdfast/fabric/fabric.h"
#include "holdfast/fabric/sim/timeline.h"

namespace holdfast::sim {

class NetworkCore;

struct HostId {
  std::uint32_t value = 0;
  friend auto operator<=>(const HostId&, const HostId&) = default;
};

/// A process in all its lives: it keeps its id and its addresses when it is started again after a crash.
struct ProcessId {
  std::uint32_t value = 0;
  friend auto operator<=>(const ProcessId&, const ProcessId&) = default;
};

enum class LinkClass : std::uint8_t { same_host, same_rack, across_racks };
inline constexpr std::size_t kLinkClasses = 3;

struct LinkCost {
  Duration latency{0};                 ///< L, one way
  Duration overhead{0};                ///< o, the processor's time for one operation, on either side
  Duration gap{0};                     ///< g, the least time between two on one NIC
  std::uint64_t bytes_per_second = 1;  ///< 1/G; at least 1
  Duration jitter{0};                  ///< each way takes up to this longer, uniformly, by seed
  std::uint32_t straggler_one_in = 0;  ///< one of so many takes up to `straggle` longer; 0: none does
  Duration straggle{0};
  /// Bytes of reads that a thread moves itself, at either end, while they are under way; 0: the NIC moves
  /// them. At the owner only where one_sided_needs_target.
  std::uint64_t processor_bytes_per_second = 0;
};

struct NetworkOptions {
  using us = std::chrono::microseconds;
  using ns = std::chrono::nanoseconds;
  /// Of the order of a 200 Gb/s InfiniBand network with two stages of switches.
  LinkCost same_host{ns(300), ns(200), ns(50), 12'000'000'000};
  LinkCost same_rack{ns(1000), ns(300), ns(100), 24'000'000'000};
  LinkCost across_racks{ns(1800), ns(300), ns(100), 24'000'000'000};

  /// Cores of each host. Its threads, one an endpoint, share them, in the order of their work. 0: they are
  /// not counted.
  std::uint32_t cores_per_host = 0;
  /// Where cores are not counted: each thread has one. False: each process, so its endpoints wait for each
  /// other.
  bool core_a_thread = false;
  /// Between a rack and the others, in each direction; 0: as much as its hosts send.
  std::uint64_t rack_bytes_per_second = 0;

  /// True: as over TCP, the owner's process must drive its endpoint for its memory to be read and for
  /// connections to it (info().rdma is false). False: as with RDMA, its NIC does.
  bool one_sided_needs_target = false;
  /// A one-sided read copies the owner's memory in pieces of this size, each at the virtual time at which it
  /// leaves: 64 gives the finest tearing, an MTU or more the fastest simulation. At least 1.
  std::uint32_t piece_bytes = 4096;
  /// Pieces are copied from a place and in a direction drawn by seed, not from the first to the last: no
  /// order of a read's bytes is promised by RDMA.
  bool scatter_pieces = false;

  /// How long packets may go unanswered before the transport gives their connection up and operations under
  /// way on it end with owner_lost. Duration::max(): never, only deadlines end them.
  Duration detection_time = std::chrono::seconds(4);
  /// From work coming in until a process that sleeps runs its on_ready callback.
  Duration reaction = us(5);

  std::uint64_t best_read_bytes = 1 << 20;  ///< larger reads are split into operations of this size
  std::uint32_t best_depth = 4;             ///< of which so many are under way at a time
  std::uint32_t max_gather = 1;             ///< stretches that one read takes
  std::uint32_t max_posted_to_peer = 128;   ///< operations under way from one endpoint to another
  std::uint32_t max_waiting = 65536;        ///< operations an endpoint keeps waiting; more complete with full

  /// Fold checksums of all copied pieces and messages into the trace. Without, only their sizes.
  bool trace_contents = true;
};

struct Traffic {
  std::uint64_t messages = 0;
  std::uint64_t message_bytes = 0;
  std::uint64_t reads = 0;  ///< one-sided operations, after splitting
  std::uint64_t read_bytes = 0;
};

/// What crossed a host's NIC, or a rack's link to the others.
struct NicStats {
  std::uint64_t bytes_out = 0;
  std::uint64_t bytes_in = 0;
};

struct NetworkStats {
  std::array<Traffic, kLinkClasses> by_class;  ///< by LinkClass
  std::uint64_t connections = 0;               ///< made
  std::uint64_t broken = 0;                    ///< lost, for whatever reason
  std::uint64_t packets_parked = 0;            ///< that found their path cut
  const Traffic& of(LinkClass link) const { return by_class[static_cast<std::size_t>(link)]; }
};

/// Outlives all endpoints opened on it. Single-threaded, Endpoint::wake() included.
///
/// Endpoints behave as the interface says, with time standing still but for the timeline's events:
/// - poll() takes no virtual time.
/// - wait() outside of events runs the timeline until something happens for this endpoint. Where nothing is
///   left that could ever happen, it stops the process: the simulation hangs, and a real one would.
/// - wait() inside an event (an on_ready callback) does not block: it polls, and has on_ready called again
///   when `until` comes. So a loop that drives an endpoint runs as a member's on_ready, one turn a call.
/// Memory is read and written by the events: a process's memory may be freed after its crash(), or when its
/// endpoints have been destroyed.
class Network {
 public:
  /// `timeline` outlives the network.
  Network(Timeline& timeline, const NetworkOptions& options);
  ~Network();  ///< all endpoints must be gone
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  Timeline& timeline() noexcept;
  const NetworkOptions& options() const noexcept;
  NetworkStats stats() const;

  HostId add_host(std::uint32_t rack);
  /// Starts a process. Its n-th endpoint has the same address in each of its lives.
  ProcessId start(HostId host);
  /// What the process opens its endpoints on; lives as long as the network.
  fabric::Fabric& fabric(ProcessId process);
  HostId host_of(ProcessId process) const;
  LinkClass link_class(HostId a, HostId b) const;
  NicStats nic(HostId host) const;
  std::uint32_t racks() const;
  NicStats uplink(std::uint32_t rack) const;

  /// The thread that drives `endpoint` (one of this network's) computes for so long, as soon as it and a core
  /// are free: when it is through. What it is sent meanwhile waits for it, what it has under way goes on.
  TimePoint work(fabric::Endpoint& endpoint, Duration time);

  /// Called, as an event of its own, when `endpoint` (one of this network's) has something to do: poll it or
  /// wait on it there. Not called again for the same work, so a callback that leaves it is not called until
  /// more comes. May destroy the endpoint.
  void set_on_ready(fabric::Endpoint& endpoint, std::function<void()> on_ready);

  // What can go wrong, at any virtual time.

  /// SIGSTOP: the process's polls do nothing and on_ready is not called. Its NIC goes on: messages are
  /// received until receive_depth is reached, and its memory is read unless one_sided_needs_target.
  void stop(ProcessId process);
  void resume(ProcessId process);
  bool stopped(ProcessId process) const;
  /// Its processor takes `factor` times as long for everything; 1 is as before.
  void slow(ProcessId process, std::uint32_t factor);
  /// Its NIC takes `factor` times as long for bytes and gaps.
  void slow(HostId host, std::uint32_t factor);
  /// SIGKILL: its endpoints vanish, nothing of theirs moves again; destroy them, and the memory, any time
  /// later. Its host resets the connections, so operations of its peers end with owner_lost at once.
  void crash(ProcessId process);
  /// Another life of a process that has crashed: opening endpoints gives the old addresses.
  void restart(ProcessId process);
  bool crashed(ProcessId process) const;
  /// Loss of power: its processes crash and nobody says so. Peers find out after detection_time, or when the
  /// host is there again.
  void crash(HostId host);
  /// The host runs again; its processes do not until they are restarted.
  void restart(HostId host);
  /// No packet comes from a host of `from` to one of `to`: a partition in one direction. What is on its way
  /// is sent again when the path heals, unless the connection is given up before (detection_time).
  void cut(std::span<const HostId> from, std::span<const HostId> to);
  /// In both directions.
  void partition(std::span<const HostId> one, std::span<const HostId> other);
  /// Undoes every cut.
  void heal();
  /// Undoes those between two sets of hosts, in both directions.
  void heal(std::span<const HostId> one, std::span<const HostId> other);
  /// All connections between two processes are lost with what was under way on them, in both directions:
  /// reads end with owner_lost, messages may have been told as sent and never arrive. Later operations
  /// connect anew.
  void break_connections(ProcessId one, ProcessId other);
  /// Operations that may wait in each of the process's endpoints: 0 makes everything that cannot start at
  /// once complete with full. NetworkOptions::max_waiting is as before.
  void limit_queues(ProcessId process, std::uint32_t waiting);

 private:
  std::unique_ptr<NetworkCore> core_;
};

}  // namespace holdfast::sim
