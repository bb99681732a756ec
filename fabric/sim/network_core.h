// The network's inside. Its mechanisms, one a file:
//   network.cpp      hosts and processes, the public interface
//   costs.cpp        LogGP: what takes how long, and who is busy until when
//   packets.cpp      a packet's way: arriving, waiting for a path, being given up
//   connections.cpp  made, refused, lost
//   messages.cpp     the steps of a message
//   reads.cpp        the steps of a one-sided read
//   faults.cpp       what can go wrong
#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fabric/pool.h"
#include "fabric/sim/endpoint.h"
#include "fabric/sim/flight.h"
#include "holdfast/fabric/sim/network.h"

namespace holdfast::sim {

struct Host {
  std::uint32_t rack = 0;
  bool up = true;
  std::uint32_t slow = 1;
  TimePoint sends_until, takes_in_until, loops_until;  ///< busy until; loops: within the host
  std::vector<TimePoint> cores_until;                  ///< where they are counted
  NicStats nic;
};

/// A rack's link to the others.
struct Uplink {
  TimePoint sends_until, takes_in_until;
  NicStats carried;
};

class SimFabric;

struct Process {
  HostId host;
  bool up = true;
  bool stopped = false;
  std::uint32_t slow = 1;
  std::uint32_t next_endpoint = 0;  ///< of this life
  std::uint32_t max_waiting = 0;
  TimePoint computes_until;       ///< where its endpoints share a core
  std::vector<Serial> endpoints;  ///< of this life, those open
  std::unique_ptr<SimFabric> fabric;
};

enum class Fault : std::uint8_t {
  stop,
  resume,
  slow_process,
  slow_host,
  crash_process,
  restart_process,
  crash_host,
  restart_host,
  cut,
  heal,
  break_connections,
  limit_queues
};

class NetworkCore {
 public:
  NetworkCore(Timeline& timeline, const NetworkOptions& options);
  ~NetworkCore();
  NetworkCore(const NetworkCore&) = delete;
  NetworkCore& operator=(const NetworkCore&) = delete;

  // network.cpp
  HostId add_host(std::uint32_t rack);
  ProcessId start(HostId host);
  Process& process(ProcessId id);
  Host& host(HostId id);
  std::uint32_t racks() const { return static_cast<std::uint32_t>(uplinks_.size()); }
  const Uplink& uplink(std::uint32_t rack) const { return uplinks_.at(rack); }
  Result<std::unique_ptr<fabric::Endpoint>> open(ProcessId id, const fabric::EndpointOptions& options);
  SimEndpoint* endpoint(Serial serial) noexcept { return endpoints_[serial]; }
  SimEndpoint* listener(std::uint64_t address) noexcept;
  bool has_process(ProcessId id) const noexcept { return id.value < processes_.size(); }
  void endpoint_destroyed() noexcept { --endpoints_open_; }
  Timeline& timeline() noexcept { return timeline_; }
  const NetworkOptions& options() const noexcept { return options_; }
  const NetworkStats& stats() const noexcept { return stats_; }
  std::uint64_t new_key() noexcept { return keys_.next(); }
  Transfer& new_transfer() { return transfers_.take(); }
  void free(Transfer& transfer);
  std::uint64_t content(std::span<const std::byte> bytes) const;

  // costs.cpp
  LinkClass link_class(HostId a, HostId b) const noexcept;
  const LinkCost& cost(HostId a, HostId b) const noexcept;
  Duration delay(HostId a, HostId b);
  TimePoint occupy(SimEndpoint& thread, TimePoint earliest, Duration time);
  TimePoint compute(SimEndpoint& thread, Duration work);
  TimePoint move_bytes(SimEndpoint& thread, const LinkCost& link, std::uint64_t bytes, TimePoint first,
                       TimePoint last);
  Duration byte_time(HostId sender, HostId receiver, std::uint64_t bytes) const;
  TimePoint inject(HostId sender, HostId receiver, TimePoint earliest, std::uint64_t bytes);
  TimePoint take_in(HostId sender, HostId receiver, std::uint64_t bytes);
  TimePoint cross_racks(HostId sender, HostId receiver, TimePoint start, std::uint64_t bytes);
  TimePoint& free_core(Host& host, TimePoint wanted);

  // packets.cpp
  bool path_open(HostId from, HostId to) const;
  Flight& new_flight(const std::shared_ptr<Connection>& connection, Flight::Step step);
  void next(Flight& flight, Flight::Step step, TimePoint when);
  void answer(Flight& flight, Flight::Step step);
  void wait_in(Place& place, Flight& flight);
  void serve(Flight& flight);
  void free(Flight& flight);
  void paths_changed();

  // connections.cpp
  std::shared_ptr<Connection> connect(SimEndpoint& from, std::uint32_t peer, std::uint64_t address);
  enum class Loss : std::uint8_t { refused, reset, silence, fault };
  void fail(const std::shared_ptr<Connection>& connection, Loss loss);
  void endpoint_gone(SimEndpoint& endpoint);

  // messages.cpp
  void post_message(const std::shared_ptr<Connection>& connection, Transfer& transfer);
  void let_in_stalled(SimEndpoint& endpoint);

  // reads.cpp
  void post_read(const std::shared_ptr<Connection>& connection, Transfer& transfer, std::uint64_t bytes);

  // faults.cpp
  void set_stopped(ProcessId id, bool stopped);
  void crash(ProcessId id);
  void restart(ProcessId id);
  void crash(HostId id);
  void restart(HostId id);
  void cut(std::span<const HostId> from, std::span<const HostId> to);
  void mend(std::span<const HostId> from, std::span<const HostId> to);
  void mend_all();
  void break_connections(ProcessId one, ProcessId other);
  void note(Fault fault, std::uint64_t b, std::uint64_t c = 0) {
    timeline_.note(TraceKind::fault, static_cast<std::uint64_t>(fault), b, c);
  }

 private:
  // packets.cpp
  void run(Flight& flight);
  void arrive_at_target(Flight& flight);
  void arrive_at_initiator(Flight& flight);
  void park(Flight& flight);
  void unpark(Flight& flight);
  void reset(const std::shared_ptr<Connection>& connection);
  // connections.cpp
  void accept(Flight& flight);
  void connected(Flight& flight);
  void refused(Flight& flight);
  // messages.cpp
  void left(Flight& flight);
  void message_arrived(Flight& flight);
  void in_order(Flight& flight);
  void taken_in(Flight& flight);
  void admit(Flight& flight);
  void landed(Flight& flight);
  void acknowledged(Flight& flight);
  // reads.cpp
  void begin_read(Flight& flight);
  void go_on_copying(Flight& flight);
  void copy_piece(Flight& flight);
  void answer_arrived(Flight& flight);
  void answered(Flight& flight);
  void read_done(Flight& flight);
  // faults.cpp
  void break_towards(ProcessId one, ProcessId other);

  Timeline& timeline_;
  const NetworkOptions options_;
  Random jitter_, keys_, scatter_;
  NetworkStats stats_;
  std::vector<Host> hosts_;
  std::vector<Uplink> uplinks_;  ///< by rack
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<SimEndpoint*> endpoints_{nullptr};       ///< by serial; null: gone
  std::unordered_map<std::uint64_t, Serial> listens_;  ///< by address; looked up only
  std::unordered_set<std::uint64_t> cut_;              ///< from << 32 | to; looked up only
  Place parked_;                                       ///< in the order of parking
  std::uint64_t endpoints_open_ = 0;
  fabric::Pool<Flight> flights_;
  fabric::Pool<Transfer> transfers_;
};

class SimFabric final : public fabric::Fabric {
 public:
  SimFabric(NetworkCore& core, ProcessId process, fabric::FabricInfo info)
      : core_(core), process_(process), info_(std::move(info)) {}
  const fabric::FabricInfo& info() const noexcept override { return info_; }
  Result<std::unique_ptr<fabric::Endpoint>> open(const fabric::EndpointOptions& options) override {
    return core_.open(process_, options);
  }

 private:
  NetworkCore& core_;
  ProcessId process_;
  fabric::FabricInfo info_;
};

}  // namespace holdfast::sim
