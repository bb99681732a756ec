// The steps of a message: posted, left, arrived (in order), taken in, landed in a slot, acknowledged.
#include <algorithm>

#include "fabric/sim/network_core.h"

namespace holdfast::sim {
namespace {

/// An empty message is on the wire, too; and what takes time keeps its order.
std::uint64_t wire_bytes(const Flight& flight) { return std::max<std::uint64_t>(flight.message.size(), 1); }

}  // namespace

void NetworkCore::post_message(const std::shared_ptr<Connection>& connection, Transfer& transfer) {
  Flight& flight = new_flight(connection, Flight::Step::sending);
  flight.transfer = &transfer;
  flight.message = std::move(transfer.message);
  flight.number = connection->messages_out++;
  const HostId from = connection->from, to = connection->to;
  const TimePoint ready = compute(*transfer.endpoint, cost(from, to).overhead);
  const TimePoint start = inject(from, to, ready, wire_bytes(flight));
  Traffic& traffic = stats_.by_class[static_cast<std::size_t>(link_class(from, to))];
  ++traffic.messages;
  traffic.message_bytes += flight.message.size();
  next(flight, Flight::Step::sending, start + byte_time(from, to, wire_bytes(flight)));
}

void NetworkCore::left(Flight& flight) {
  const Connection& connection = *flight.connection;
  timeline_.note(TraceKind::sent, connection.initiator, connection.target, flight.message.size());
  Transfer* transfer = std::exchange(flight.transfer, nullptr);
  next(flight, Flight::Step::message, timeline_.now() + delay(connection.from, connection.to));
  transfer->endpoint->message_left(*transfer);
}

void NetworkCore::message_arrived(Flight& flight) {
  // in_order() may free nothing and end no connection, so `connection` stays.
  Connection& connection = *flight.connection;
  if (flight.number != connection.messages_in) return connection.early.push_back(&flight);
  in_order(flight);
  for (;;) {
    const auto following = std::find_if(connection.early.begin(), connection.early.end(), [&](Flight* early) {
      return early->number == connection.messages_in;
    });
    if (following == connection.early.end()) return;
    Flight& early = **following;
    connection.early.erase(following);
    in_order(early);
  }
}

void NetworkCore::in_order(Flight& flight) {
  Connection& connection = *flight.connection;
  ++connection.messages_in;
  const TimePoint end = take_in(connection.from, connection.to, wire_bytes(flight));
  flight.step = Flight::Step::taken_in;
  if (end > timeline_.now()) return next(flight, Flight::Step::taken_in, end);
  taken_in(flight);
}

void NetworkCore::taken_in(Flight& flight) {
  SimEndpoint& target = *endpoint(flight.connection->target);
  if (!target.has_slot() || !target.stalled().empty()) return wait_in(target.stalled(), flight);
  admit(flight);
}

/// Into one of the receiver's slots.
void NetworkCore::admit(Flight& flight) {
  const Connection& connection = *flight.connection;
  SimEndpoint& target = *endpoint(connection.target);
  target.take_slot();
  const Duration overhead = cost(connection.from, connection.to).overhead;
  next(flight, Flight::Step::landing, compute(target, overhead));
}

void NetworkCore::let_in_stalled(SimEndpoint& target) {
  while (target.has_slot()) {
    Flight* flight = target.stalled().pop_front();
    if (flight == nullptr) return;
    flight->place = nullptr;
    admit(*flight);
  }
}

void NetworkCore::landed(Flight& flight) {
  const Connection& connection = *flight.connection;
  timeline_.note(TraceKind::landed, connection.target, connection.initiator, content(flight.message));
  SimEndpoint& target = *endpoint(connection.target);
  std::vector<std::byte> message = std::move(flight.message);
  answer(flight, Flight::Step::ack);
  target.deliver(std::move(message));
}

void NetworkCore::acknowledged(Flight& flight) {
  SimEndpoint& initiator = *endpoint(flight.connection->initiator);
  const std::uint32_t peer = flight.connection->peer;
  free(flight);
  initiator.credit(peer);
  initiator.pump(peer);
}

}  // namespace holdfast::sim
