// The steps of a one-sided read: the request, the owner's memory piece by piece, the answer.
//
// A piece is copied from the owner's memory to the reader's at the moment it leaves the owner's NIC: that is
// when it is sampled. The reader may look at its bytes only after the end anyhow; should it look, or reuse
// them, earlier, it sees what a real one could.
#include <algorithm>
#include <cstring>

#include "fabric/sim/network_core.h"

namespace holdfast::sim {
namespace {

/// `take(offset in the owner's memory, offset where it lands, bytes)` for each part of what lands from
/// `begin`.
template <class Take>
void for_each_part(const Transfer& transfer, std::uint64_t begin, std::uint64_t bytes, Take take) {
  if (transfer.gather.empty()) return take(transfer.offset + begin, begin, bytes);
  std::uint64_t lands_at = 0;
  for (const fabric::Stretch& stretch : transfer.gather) {
    const std::uint64_t first = std::max(lands_at, begin);
    const std::uint64_t last = std::min(lands_at + stretch.bytes, begin + bytes);
    if (first < last) take(stretch.offset + (first - lands_at), first, last - first);
    lands_at += stretch.bytes;
  }
}

}  // namespace

void NetworkCore::post_read(const std::shared_ptr<Connection>& connection, Transfer& transfer,
                            std::uint64_t bytes) {
  Flight& flight = new_flight(connection, Flight::Step::read);
  flight.transfer = &transfer;
  flight.offset = transfer.posted_bytes;
  flight.bytes = bytes;
  const HostId from = connection->from, to = connection->to;
  const TimePoint ready = compute(*transfer.endpoint, cost(from, to).overhead);
  const TimePoint start = inject(from, to, ready, 0);
  next(flight, Flight::Step::read, start + delay(from, to));
}

void NetworkCore::begin_read(Flight& flight) {
  const Connection& connection = *flight.connection;
  SimEndpoint& owner = *endpoint(connection.target);
  const Transfer& transfer = *flight.transfer;
  for_each_part(transfer, flight.offset, flight.bytes,
                [&](std::uint64_t offset, std::uint64_t, std::uint64_t bytes) {
                  const auto memory = owner.exposed(transfer.from, offset, bytes);
                  if (!memory) flight.refusal = memory.error();
                });
  if (flight.refusal) {
    timeline_.note(TraceKind::denied, connection.target, connection.initiator, transfer.from.key);
    return answer(flight, Flight::Step::answer);
  }
  timeline_.note(TraceKind::served, connection.target, connection.initiator, flight.bytes);
  Traffic& traffic = stats_.by_class[static_cast<std::size_t>(link_class(connection.from, connection.to))];
  ++traffic.reads;
  traffic.read_bytes += flight.bytes;
  const HostId here = connection.to, there = connection.from;
  const TimePoint ready =
      options_.one_sided_needs_target ? compute(owner, cost(here, there).overhead) : timeline_.now();
  flight.start = inject(here, there, ready, flight.bytes);
  flight.moved = flight.start;
  if (options_.one_sided_needs_target)
    flight.moved = move_bytes(owner, cost(here, there), flight.bytes, flight.start,
                              flight.start + byte_time(here, there, flight.bytes));
  flight.pieces_done = 0;
  if (options_.scatter_pieces) {
    const std::uint64_t pieces = (flight.bytes + options_.piece_bytes - 1) / options_.piece_bytes;
    flight.first_piece = scatter_.below(pieces);
    flight.backwards = scatter_.one_in(2);
  }
  next(flight, Flight::Step::piece, flight.start);
}

/// After a pause: as if all before had left just now.
void NetworkCore::go_on_copying(Flight& flight) {
  const Connection& connection = *flight.connection;
  const std::uint64_t done = flight.pieces_done * options_.piece_bytes;
  flight.start = timeline_.now() - byte_time(connection.to, connection.from, done);
  next(flight, Flight::Step::piece, timeline_.now());
}

void NetworkCore::copy_piece(Flight& flight) {
  const Connection& connection = *flight.connection;
  SimEndpoint& owner = *endpoint(connection.target);
  if (!path_open(connection.to, connection.from)) return park(flight);
  if (options_.one_sided_needs_target && process(owner.process()).stopped)
    return wait_in(owner.requests(), flight);

  const std::uint64_t size = options_.piece_bytes;
  const std::uint64_t pieces = (flight.bytes + size - 1) / size;
  const std::uint64_t step = flight.backwards ? pieces - flight.pieces_done : flight.pieces_done;
  const std::uint64_t begin = (flight.first_piece + step) % pieces * size;
  const std::uint64_t bytes = std::min(size, flight.bytes - begin);
  const Transfer& transfer = *flight.transfer;
  for_each_part(transfer, flight.offset + begin, bytes,
                [&](std::uint64_t offset, std::uint64_t lands_at, std::uint64_t part) {
                  const auto from = owner.exposed(transfer.from, offset, part);
                  HOLDFAST_CHECK(from.has_value(), "what is exposed stays so until the endpoint closes");
                  std::memcpy(transfer.into.data() + lands_at, from->data(), part);
                  timeline_.note(TraceKind::copied, connection.target, connection.initiator, content(*from));
                });

  ++flight.pieces_done;
  const std::uint64_t sent = std::min(flight.pieces_done * size, flight.bytes);
  const TimePoint left = flight.start + byte_time(connection.to, connection.from, sent);
  if (flight.pieces_done < pieces) return next(flight, Flight::Step::piece, left);
  flight.at_target = false;
  flight.moved = std::max(left, flight.moved);
  next(flight, Flight::Step::answer, flight.moved + delay(connection.to, connection.from));
}

void NetworkCore::answer_arrived(Flight& flight) {
  const Connection& connection = *flight.connection;
  const TimePoint end =
      flight.refusal ? timeline_.now() : take_in(connection.to, connection.from, flight.bytes);
  if (end > timeline_.now()) return next(flight, Flight::Step::answered, end);
  answered(flight);
}

void NetworkCore::answered(Flight& flight) {
  const Connection& connection = *flight.connection;
  SimEndpoint& reader = *endpoint(connection.initiator);
  const LinkCost& link = cost(connection.from, connection.to);
  const TimePoint now = timeline_.now();
  if (!flight.refusal) move_bytes(reader, link, flight.bytes, now - (flight.moved - flight.start), now);
  next(flight, Flight::Step::read_done, compute(reader, link.overhead));
}

void NetworkCore::read_done(Flight& flight) {
  SimEndpoint& reader = *endpoint(flight.connection->initiator);
  const std::uint32_t peer = flight.connection->peer;
  Transfer& transfer = *flight.transfer;
  std::optional<Error> error;
  if (flight.refusal)
    error = Error{*flight.refusal, "Endpoint::read",
                  *flight.refusal == Code::denied ? "the owner has exposed no memory with this key"
                                                  : "the range is not in the memory the owner has exposed"};
  free(flight);
  reader.credit(peer);
  reader.operation_ended(transfer, std::move(error));
  reader.pump(peer);
}

}  // namespace holdfast::sim
