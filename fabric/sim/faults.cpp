// What can go wrong with processes, hosts and paths.
#include <algorithm>

#include "fabric/sim/network_core.h"

namespace holdfast::sim {
namespace {

std::uint64_t path(HostId from, HostId to) { return std::uint64_t{from.value} << 32 | to.value; }

}  // namespace

void NetworkCore::set_stopped(ProcessId id, bool stopped) {
  note(stopped ? Fault::stop : Fault::resume, id.value);
  Process& which = process(id);
  which.stopped = stopped;
  if (stopped) return;
  for (const Serial serial : which.endpoints) endpoint(serial)->arm_if_work();
}

void NetworkCore::crash(ProcessId id) {
  note(Fault::crash_process, id.value);
  Process& which = process(id);
  which.up = false;
  const std::vector<Serial> endpoints = which.endpoints;
  for (const Serial serial : endpoints) endpoint(serial)->vanish();
}

void NetworkCore::restart(ProcessId id) {
  note(Fault::restart_process, id.value);
  Process& which = process(id);
  HOLDFAST_CHECK(!which.up, "only a process that has crashed is started again");
  HOLDFAST_CHECK(host(which.host).up, "start the host before its processes");
  which.up = true;
  which.stopped = false;
  which.slow = 1;
  which.next_endpoint = 0;
  which.computes_until = timeline_.now();
}

void NetworkCore::crash(HostId id) {
  note(Fault::crash_host, id.value);
  host(id).up = false;
  for (std::uint32_t i = 0; i < processes_.size(); ++i)
    if (processes_[i]->host == id && processes_[i]->up) crash(ProcessId{i});
}

void NetworkCore::restart(HostId id) {
  note(Fault::restart_host, id.value);
  Host& which = host(id);
  which.up = true;
  which.sends_until = which.takes_in_until = which.loops_until = timeline_.now();
  paths_changed();
}

void NetworkCore::cut(std::span<const HostId> from, std::span<const HostId> to) {
  for (const HostId a : from)
    for (const HostId b : to) {
      if (a == b) continue;
      note(Fault::cut, a.value, b.value);
      cut_.insert(path(a, b));
    }
}

void NetworkCore::mend(std::span<const HostId> from, std::span<const HostId> to) {
  for (const HostId a : from)
    for (const HostId b : to) {
      note(Fault::heal, a.value, b.value);
      cut_.erase(path(a, b));
    }
}

void NetworkCore::mend_all() {
  note(Fault::heal, cut_.size());
  cut_.clear();
}

void NetworkCore::break_connections(ProcessId one, ProcessId other) {
  note(Fault::break_connections, one.value, other.value);
  break_towards(one, other);
  if (one != other) break_towards(other, one);
}

void NetworkCore::break_towards(ProcessId one, ProcessId other) {
  for (const Serial serial : process(one).endpoints) {
    SimEndpoint& from = *endpoint(serial);
    for (std::size_t i = 0; i < from.peers().size(); ++i) {
      const Peer& peer = from.peers()[i];
      if (peer.connection && peer.connection->up && peer.address >> 32 == other.value)
        fail(std::shared_ptr(peer.connection), Loss::fault);
    }
  }
}

}  // namespace holdfast::sim
