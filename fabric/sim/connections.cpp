// Connections: made with the first operation, refused where nobody listens, lost with what is on them.
#include <algorithm>

#include "fabric/sim/network_core.h"

namespace holdfast::sim {
namespace {

std::string_view reason(NetworkCore::Loss loss) {
  switch (loss) {
    case NetworkCore::Loss::refused:
      return "nobody listens at the peer's address";
    case NetworkCore::Loss::reset:
      return "the peer's host reset the connection: its process or endpoint is gone";
    case NetworkCore::Loss::silence:
      return "the peer's host does not answer";
    case NetworkCore::Loss::fault:
      break;
  }
  return "the connection was lost";
}

/// What a flight is to its target from the start again.
Flight::Step first_step(Flight::Step step) {
  switch (step) {
    case Flight::Step::connect:
      return Flight::Step::connect;
    case Flight::Step::read:
    case Flight::Step::piece:
      return Flight::Step::read;
    default:
      return Flight::Step::message;
  }
}

/// What the network still carries when the process that posted it is gone.
bool outlives_initiator(Flight::Step step) {
  return step == Flight::Step::message || step == Flight::Step::taken_in || step == Flight::Step::landing ||
         step == Flight::Step::ack;
}

}  // namespace

std::shared_ptr<Connection> NetworkCore::connect(SimEndpoint& from, std::uint32_t peer,
                                                 std::uint64_t address) {
  auto connection = std::make_shared<Connection>();
  connection->initiator = from.serial();
  connection->peer = peer;
  connection->address = address;
  connection->from = process(from.process()).host;
  connection->to = process(ProcessId{static_cast<std::uint32_t>(address >> 32)}).host;
  Flight& flight = new_flight(connection, Flight::Step::connect);
  next(flight, Flight::Step::connect, timeline_.now() + delay(connection->from, connection->to));
  return connection;
}

void NetworkCore::accept(Flight& flight) { answer(flight, Flight::Step::connected); }

void NetworkCore::connected(Flight& flight) {
  Connection& connection = *flight.connection;
  timeline_.note(TraceKind::connected, connection.initiator, connection.target);
  ++stats_.connections;
  connection.up = true;
  const std::uint32_t peer = connection.peer;
  SimEndpoint& initiator = *endpoint(connection.initiator);
  free(flight);
  initiator.pump(peer);
}

void NetworkCore::refused(Flight& flight) {
  const std::shared_ptr<Connection> connection = flight.connection;
  timeline_.note(TraceKind::refused, connection->initiator, connection->address);
  fail(connection, Loss::refused);
}

/// Ends the connection and what is on it. Where it was never up, what waits for it ends, too; otherwise that
/// connects anew.
void NetworkCore::fail(const std::shared_ptr<Connection>& connection, Loss loss) {
  if (std::exchange(connection->broken, true)) return;
  const bool was_up = std::exchange(connection->up, false);
  if (was_up) {
    ++stats_.broken;
    timeline_.note(TraceKind::broken, connection->initiator, connection->target);
  }
  timeline_.cancel(connection->detection);
  SimEndpoint* initiator = endpoint(connection->initiator);
  if (initiator != nullptr) initiator->connection_lost(connection->peer);
  const auto error = [&](bool is_read) {
    return Error{Code::owner_lost, is_read ? "Endpoint::read" : "Endpoint::send", std::string(reason(loss))};
  };
  while (Flight* flight = connection->flights.first()) {
    Transfer* transfer = flight->transfer;
    free(*flight);
    if (transfer != nullptr) initiator->operation_ended(*transfer, error(transfer->is_read));
  }
  if (SimEndpoint* target = connection->target == 0 ? nullptr : endpoint(connection->target))
    std::erase(target->incoming(), connection);
  if (initiator == nullptr) return;
  if (!was_up) initiator->fail_waiting(connection->peer, std::string(reason(loss)));
  initiator->pump(connection->peer);
}

/// The endpoint has closed or its process has crashed: nothing of its memory is touched from here on.
void NetworkCore::endpoint_gone(SimEndpoint& gone) {
  timeline_.note(TraceKind::closed, gone.serial());
  const auto listens = listens_.find(gone.raw_address());
  if (listens != listens_.end() && listens->second == gone.serial()) listens_.erase(listens);
  endpoints_[gone.serial()] = nullptr;
  Process& owner = process(gone.process());
  std::erase(owner.endpoints, gone.serial());

  // What it asked for. Messages that have left go on without it.
  for (Peer& peer : gone.peers()) {
    const std::shared_ptr<Connection> connection = std::exchange(peer.connection, nullptr);
    if (!connection) continue;
    Flight* following = nullptr;
    for (Flight* flight = connection->flights.first(); flight != nullptr; flight = following) {
      following = flight->links.next;
      flight->transfer = nullptr;
      if (!outlives_initiator(flight->step)) free(*flight);
    }
    SimEndpoint* target = connection->target == 0 ? nullptr : endpoint(connection->target);
    if (target != nullptr && connection->flights.empty()) std::erase(target->incoming(), connection);
  }

  // What others asked of it is as if it had never arrived.
  for (const std::shared_ptr<Connection>& connection : std::exchange(gone.incoming(), {})) {
    connection->early.clear();
    for (Flight* flight = connection->flights.first(); flight != nullptr; flight = flight->links.next) {
      if (!flight->at_target) continue;
      timeline_.cancel(flight->event);
      flight->at_target = false;
      flight->step = first_step(flight->step);
      if (flight->parked) continue;
      if (flight->place != nullptr) flight->place->remove(*flight);
      flight->place = nullptr;
      park(*flight);
    }
    if (hosts_[connection->to.value].up) reset(connection);
  }
}

}  // namespace holdfast::sim
