// One read() or send() on its way, and the pieces of it that the provider has.
#pragma once

#include <rdma/fabric.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fabric/list.h"
#include "fabric/ofi/deadline_heap.h"
#include "fabric/pool.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::ofi {

struct Transfer;
struct Message;

/// What the provider gives back with a completion: `context` is its to write, the rest says whose it was.
/// Lives until the provider has reported it, or the endpoint is closed.
struct Work {
  fi_context2 context{};  // first: the provider's pointer is the pointer to the Work
  enum class Kind : std::uint8_t { read, send, receive } kind = Kind::read;
  Transfer* transfer = nullptr;  ///< of a read or a send
  std::uint32_t slot = 0;        ///< of a receive: which buffer
};

/// A user's operation. In exactly one of these states:
///   waiting    in its peer's queue; the provider has not taken all of it yet
///   posted     the provider has all of it (a read may be waiting and partly posted)
///   finished   in the endpoint's finished list; `complete` is called by the next poll
///   quarantined  the user has its timed_out; pieces are still with the provider, so `hold` stays
/// and back to the pool afterwards.
struct Transfer {
  Links<Transfer> links;  ///< peer's queue, or the finished list
  std::size_t heap_place = kNotInHeap;
  Deadline deadline = Deadline::never();
  Completion* completion = nullptr;  ///< null once it was called
  std::uint32_t peer = 0;
  bool is_read = true;
  bool queued = false;  ///< in its peer's queue
  bool quarantined = false;
  std::uint32_t in_flight = 0;  ///< pieces with the provider
  std::optional<Error> error;   ///< the first that came

  std::span<std::byte> into;  ///< of a read: the whole destination
  void* descriptor = nullptr;
  std::uint64_t remote = 0;  ///< where the whole begins, as the provider counts
  std::uint64_t key = 0;
  std::array<Stretch, kMostGather> gather;  ///< what is read instead of one whole; posted as one piece
  std::size_t gathers = 0;                  ///< of these
  std::uint64_t posted_bytes = 0;           ///< given to the provider so far
  std::shared_ptr<void> hold;

  Message* message = nullptr;  ///< of a send: the copy, given back when the provider is done with it
  bool sent = false;           ///< of a send: the provider has it
};

}  // namespace holdfast::fabric::ofi
