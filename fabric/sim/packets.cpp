// A packet's way: arriving, waiting until there is a path, being given up.
#include <algorithm>

#include "fabric/sim/network_core.h"

namespace holdfast::sim {
namespace {

bool goes_to_target(Flight::Step step) {
  return step == Flight::Step::connect || step == Flight::Step::message || step == Flight::Step::read;
}

}  // namespace

bool NetworkCore::path_open(HostId from, HostId to) const {
  if (!hosts_[to.value].up) return false;
  return cut_.empty() || !cut_.contains(std::uint64_t{from.value} << 32 | to.value);
}

Flight& NetworkCore::new_flight(const std::shared_ptr<Connection>& connection, Flight::Step step) {
  Flight& flight = flights_.take();
  flight.connection = connection;
  flight.step = step;
  connection->flights.push_back(flight);
  return flight;
}

void NetworkCore::next(Flight& flight, Flight::Step step, TimePoint when) {
  flight.step = step;
  flight.event = timeline_.at(when, [this, &flight] {
    flight.event = {};
    run(flight);
  });
}

/// From the target back to the initiator.
void NetworkCore::answer(Flight& flight, Flight::Step step) {
  flight.at_target = false;
  next(flight, step, timeline_.now() + delay(flight.connection->to, flight.connection->from));
}

void NetworkCore::run(Flight& flight) {
  switch (flight.step) {
    case Flight::Step::connect:
    case Flight::Step::message:
    case Flight::Step::read:
      return arrive_at_target(flight);
    case Flight::Step::connected:
    case Flight::Step::refused:
    case Flight::Step::ack:
    case Flight::Step::answer:
      return arrive_at_initiator(flight);
    case Flight::Step::sending:
      return left(flight);
    case Flight::Step::taken_in:
      return taken_in(flight);
    case Flight::Step::landing:
      return landed(flight);
    case Flight::Step::piece:
      return copy_piece(flight);
    case Flight::Step::answered:
      return answered(flight);
    case Flight::Step::read_done:
      return read_done(flight);
  }
}

void NetworkCore::arrive_at_target(Flight& flight) {
  Connection& connection = *flight.connection;
  if (!path_open(connection.from, connection.to)) return park(flight);
  const bool connects = flight.step == Flight::Step::connect;
  SimEndpoint* target = connects ? listener(connection.address) : endpoint(connection.target);
  if (target == nullptr && connects) return answer(flight, Flight::Step::refused);
  if (target == nullptr) {
    // Meant for an endpoint that is gone: the host says so. Should that not get through, silence will.
    park(flight);
    return reset(flight.connection);
  }
  flight.at_target = true;
  if (connects) {
    connection.target = target->serial();
    target->incoming().push_back(flight.connection);
  }
  if (flight.step == Flight::Step::message) return message_arrived(flight);
  if (!options_.one_sided_needs_target) return serve(flight);
  wait_in(target->requests(), flight);
  target->arm();
}

void NetworkCore::arrive_at_initiator(Flight& flight) {
  const Connection& connection = *flight.connection;
  if (!path_open(connection.to, connection.from)) return park(flight);
  if (endpoint(connection.initiator) == nullptr) return free(flight);
  switch (flight.step) {
    case Flight::Step::connected:
      return connected(flight);
    case Flight::Step::refused:
      return refused(flight);
    case Flight::Step::ack:
      return acknowledged(flight);
    default:
      return answer_arrived(flight);
  }
}

void NetworkCore::wait_in(Place& place, Flight& flight) {
  place.push_back(flight);
  flight.place = &place;
}

/// The target (its NIC, or its process where that is needed) takes up what is asked of it.
void NetworkCore::serve(Flight& flight) {
  if (flight.step == Flight::Step::connect) return accept(flight);
  if (flight.step == Flight::Step::read) return begin_read(flight);
  go_on_copying(flight);
}

void NetworkCore::free(Flight& flight) {
  timeline_.cancel(flight.event);
  if (flight.parked) unpark(flight);
  if (flight.place != nullptr) flight.place->remove(flight);
  const std::shared_ptr<Connection> connection = std::move(flight.connection);
  connection->flights.remove(flight);
  std::erase(connection->early, &flight);
  const bool had_slot = flight.step == Flight::Step::landing;
  flight = Flight{};
  flights_.give_back(flight);
  SimEndpoint* target = connection->target == 0 ? nullptr : endpoint(connection->target);
  if (target == nullptr) return;
  if (had_slot) {
    target->give_back_slot();
    let_in_stalled(*target);
  }
  if (connection->flights.empty() && endpoint(connection->initiator) == nullptr)
    std::erase(target->incoming(), connection);
}

/// The packet found no path: the transport sends it again when there is one, or gives the connection up.
void NetworkCore::park(Flight& flight) {
  Connection& connection = *flight.connection;
  wait_in(parked_, flight);
  flight.parked = true;
  ++stats_.packets_parked;
  timeline_.note(TraceKind::parked, connection.initiator, connection.target);
  if (connection.parked++ > 0 || options_.detection_time == Duration::max()) return;
  connection.detection = timeline_.after(options_.detection_time, [this, held = flight.connection] {
    held->detection = {};
    fail(held, Loss::silence);
  });
}

void NetworkCore::unpark(Flight& flight) {
  Connection& connection = *flight.connection;
  parked_.remove(flight);
  flight.place = nullptr;
  flight.parked = false;
  if (--connection.parked == 0) timeline_.cancel(connection.detection);
}

/// Sends again what has a path now, in the order in which it was parked.
void NetworkCore::paths_changed() {
  std::vector<Flight*> able;
  for (Flight* flight = parked_.first(); flight != nullptr; flight = flight->place_links.next) {
    const Connection& connection = *flight->connection;
    const bool forth = goes_to_target(flight->step);
    const HostId from = forth ? connection.from : connection.to;
    if (hosts_[from.value].up && path_open(from, forth ? connection.to : connection.from))
      able.push_back(flight);
  }
  for (Flight* flight : able) {
    const Connection& connection = *flight->connection;
    const bool forth = goes_to_target(flight->step);
    if (endpoint(forth ? connection.initiator : connection.target) == nullptr) {
      // Nobody is there any more to send it again. Whom it was to answer hears that; it stays until then.
      forth ? free(*flight) : reset(flight->connection);
      continue;
    }
    unpark(*flight);
    timeline_.note(TraceKind::resent, connection.initiator, connection.target);
    if (flight->step == Flight::Step::piece)
      go_on_copying(*flight);
    else
      next(*flight, flight->step, timeline_.now() + delay(connection.from, connection.to));
  }
}

/// The target's host tells the initiator that the connection is no more; unheard where there is no path.
void NetworkCore::reset(const std::shared_ptr<Connection>& connection) {
  timeline_.after(delay(connection->to, connection->from), [this, connection] {
    if (path_open(connection->to, connection->from)) fail(connection, Loss::reset);
  });
}

}  // namespace holdfast::sim
