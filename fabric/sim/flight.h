// What is on its way: connections, packets, and the operations they belong to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fabric/list.h"
#include "holdfast/fabric/fabric.h"
#include "holdfast/fabric/sim/network.h"

namespace holdfast::sim {

using fabric::Completion;
using fabric::Links;
using fabric::List;
using fabric::RemoteMemory;

/// An endpoint object; counted up from 1 and never used twice, so that one of an earlier life of a process is
/// not taken for the present one. 0: none.
using Serial = std::uint32_t;

class SimEndpoint;
struct Connection;

/// A read() or send() of an endpoint that has not ended.
struct Transfer {
  Links<Transfer> links;      ///< of its peer's queue
  Links<Transfer> own_links;  ///< of its endpoint's list of all
  SimEndpoint* endpoint = nullptr;
  std::uint32_t peer = 0;
  bool is_read = true;
  bool quarantined = false;          ///< told timed_out while pieces are under way: `hold` stays
  std::uint32_t in_flight = 0;       ///< operations posted for it
  Completion* completion = nullptr;  ///< null once it is told, or about to be
  EventId deadline_event;
  std::optional<Error> error;  ///< the first that came

  std::span<std::byte> into;
  RemoteMemory from;
  std::uint64_t offset = 0;
  std::vector<fabric::Stretch> gather;  ///< in its place
  std::uint64_t posted_bytes = 0;
  std::shared_ptr<void> hold;

  std::vector<std::byte> message;  ///< until it is posted
  bool sent = false;
};

/// How an operation ended, until the next poll tells it.
struct Outcome {
  Completion* completion = nullptr;
  std::optional<Error> error;
  std::shared_ptr<void> hold;  ///< until the completion has returned
  bool is_read = false;
  std::uint64_t bytes = 0;
};

/// One packet, or the packets of one operation in turn. Owned by the network's pool from the moment it is
/// posted to its last event; `step` says what its next event means.
struct Flight {
  enum class Step : std::uint8_t {
    connect,    ///< arrives at the target: who listens at an address?
    connected,  ///< arrives at the initiator
    refused,    ///< arrives at the initiator
    sending,    ///< a message has left the initiator's NIC
    message,    ///< arrives at the target
    taken_in,   ///< the target's NIC has all of it
    landing,    ///< the target's processor has seen it
    ack,        ///< arrives at the initiator: the room it took is free
    read,       ///< a request arrives at the target
    piece,      ///< the target's NIC copies the next piece
    answer,     ///< the last byte, or a refusal, arrives at the initiator
    answered,   ///< the initiator's NIC has all of it
    read_done,  ///< the initiator's processor has seen it
  };
  Links<Flight> links;        ///< of its connection
  Links<Flight> place_links;  ///< of the queue at the target it waits in, `place`, if any
  List<Flight, &Flight::place_links>* place = nullptr;
  std::shared_ptr<Connection> connection;
  Transfer* transfer = nullptr;  ///< null for a message that was told as sent, and for connects
  EventId event;                 ///< the next one; at most one
  Step step = Step::connect;
  bool at_target = false;  ///< between arriving there and being answered
  bool parked = false;

  std::uint64_t number = 0;  ///< of messages: their order on the connection
  std::vector<std::byte> message;

  std::uint64_t offset = 0;  ///< of reads: into the transfer's destination
  std::uint64_t bytes = 0;
  std::uint64_t pieces_done = 0;
  std::uint64_t first_piece = 0;
  bool backwards = false;
  TimePoint start;  ///< when the first piece left
  TimePoint moved;  ///< when all of it has left; before that, when the owner's thread has moved it
  std::optional<Code> refusal;  ///< what the target's NIC said of key and range
};

using Place = List<Flight, &Flight::place_links>;

/// Operations of one endpoint towards another; the other direction has a connection of its own. Broken once,
/// it stays so: the peer's entry then makes a new one.
struct Connection {
  Serial initiator = 0;
  std::uint32_t peer = 0;  ///< of the initiator
  Serial target = 0;       ///< once accepted
  std::uint64_t address = 0;
  HostId from, to;
  bool up = false;
  bool broken = false;
  std::uint64_t messages_out = 0;  ///< messages posted so far
  std::uint64_t messages_in = 0;   ///< of which have been taken in, in order
  std::uint32_t parked = 0;        ///< flights that wait for the path
  EventId detection;               ///< armed while any is parked
  List<Flight> flights;
  std::vector<Flight*> early;  ///< messages that overtook others; jitter, or a path that healed
};

}  // namespace holdfast::sim
