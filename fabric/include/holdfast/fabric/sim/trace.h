// What happened in a simulation, folded into one number: two runs did the same if their hashes are equal.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "holdfast/base/clock.h"
#include "holdfast/base/random.h"

namespace holdfast::sim {

enum class TraceKind : std::uint8_t {
  event,       ///< an event of the timeline ran; a: its sequence number
  opened,      ///< a: endpoint
  closed,      ///< a: endpoint
  connected,   ///< a: endpoint, b: peer's endpoint
  refused,     ///< a: endpoint, b: peer's address; nobody listens there
  broken,      ///< a: endpoint, b: peer's endpoint; their connection was lost
  sent,        ///< a: endpoint, b: peer's endpoint, c: bytes; a message has left
  landed,      ///< a: receiving endpoint, b: sender's, c: checksum of the message (or its size)
  served,      ///< a: owner's endpoint, b: reader's, c: bytes; a one-sided read begins
  copied,      ///< a: owner's endpoint, b: reader's, c: checksum of the piece (or its size)
  denied,      ///< a: owner's endpoint, b: reader's, c: key
  ended,       ///< a: endpoint, b: 0 or 1 + Code; an operation was told its end
  received,    ///< a: endpoint; the receiver was given a message
  parked,      ///< a: endpoint that sent, b: peer's; a packet waits for the path
  resent,      ///< a: endpoint that sent, b: peer's
  fault,       ///< a: which (Fault), b, c: on whom
  disk_write,  ///< a: disk, b: offset, c: bytes
  disk_read,   ///< a: disk, b: offset, c: bytes
  disk_fault,  ///< a: disk, b: offset, c: bytes that came through
  user,        ///< by the simulation above
};

/// The kind's name, for printed traces.
std::string_view to_string(TraceKind kind) noexcept;

struct TraceEvent {
  TimePoint time;
  TraceKind kind = TraceKind::event;
  std::uint64_t a = 0, b = 0, c = 0;
};

class Trace {
 public:
  void add(const TraceEvent& event) {
    hash_ = mix64(hash_ ^ static_cast<std::uint64_t>(event.time.time_since_epoch().count()));
    hash_ = mix64(hash_ + (static_cast<std::uint64_t>(event.kind) << 56) + event.a);
    hash_ = mix64(hash_ ^ event.b) + mix64(event.c + 0x9e3779b97f4a7c15ULL);
    ++count_;
    if (observer_) observer_(event);
  }

  /// Depends on every event so far, their order and their times; on no address and no real time.
  std::uint64_t hash() const noexcept { return hash_; }
  std::uint64_t count() const noexcept { return count_; }

  /// Sees every event: to print a run, or to find where two runs part. Must not change the simulation.
  void set_observer(std::function<void(const TraceEvent&)> observer) { observer_ = std::move(observer); }

 private:
  std::uint64_t hash_ = 0;
  std::uint64_t count_ = 0;
  std::function<void(const TraceEvent&)> observer_;
};

}  // namespace holdfast::sim
