// Virtual time: a clock that jumps from one event to the next, and the queue of those events.
//
// Everything simulated shares one Timeline and one thread. Events run in the order of (time, number), where
// the number counts the calls to at(): nothing depends on addresses, threads or real time, so a run is a
// function of its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/fabric/sim/random.h"
#include "holdfast/fabric/sim/trace.h"

namespace holdfast::sim {

/// An event that is to come. A value; one whose event has run or was cancelled is harmless.
struct EventId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  ///< 0: none
};

class Timeline {
 public:
  /// All randomness of what runs on this timeline comes from `seed`.
  explicit Timeline(std::uint64_t seed) : seed_(seed) {}
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  const Clock& clock() const noexcept { return clock_; }
  TimePoint now() const noexcept { return clock_.now(); }
  std::uint64_t seed() const noexcept { return seed_; }
  /// A generator of its own for each user, so that one that draws more does not change the others.
  Random random(std::uint64_t stream) const noexcept { return Random(seed_ ^ mix64(stream + 1)); }

  /// Runs `run` at `when`; at once, but not from inside this call, where that has passed.
  EventId at(TimePoint when, std::function<void()> run);
  EventId after(Duration delay, std::function<void()> run) { return at(now() + delay, std::move(run)); }
  /// Takes the event out and forgets the id. False where it has run, or was cancelled before.
  bool cancel(EventId& id);

  /// When the next event runs; none where nothing is left to happen.
  std::optional<TimePoint> next_event_time() const;
  /// Moves the clock to the next event and runs it; false where there is none. Not from inside an event.
  bool step();
  /// Runs all events up to `time`, that one included, then sets the clock to it.
  void run_until(TimePoint time);
  void run_for(Duration time) { run_until(now() + time); }

  /// True while an event runs.
  bool inside_event() const noexcept { return running_; }
  std::uint64_t events_run() const noexcept { return events_run_; }
  std::size_t events_waiting() const noexcept { return heap_.size(); }

  Trace& trace() noexcept { return trace_; }
  void note(TraceKind kind, std::uint64_t a, std::uint64_t b = 0, std::uint64_t c = 0) {
    trace_.add({now(), kind, a, b, c});
  }

 private:
  struct Slot {
    std::function<void()> run;
    std::uint32_t generation = 1;
    std::uint32_t place = 0;  ///< in the heap
  };
  struct Entry {
    TimePoint when;
    std::uint64_t number;
    std::uint32_t slot;
    bool before(const Entry& other) const noexcept {
      return when != other.when ? when < other.when : number < other.number;
    }
  };
  void put(std::size_t place, const Entry& entry);
  void rise(std::size_t place, const Entry& entry);
  void sink(std::size_t place, const Entry& entry);
  void take_out(std::size_t place);
  void free_slot(std::uint32_t slot);

  ManualClock clock_;
  std::uint64_t seed_;
  std::uint64_t next_number_ = 0;
  std::uint64_t events_run_ = 0;
  std::uint64_t events_since_time_moved_ = 0;
  bool running_ = false;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<Entry> heap_;  ///< binary; an entry's slot knows its place, so that any can be taken out
  Trace trace_;
};

}  // namespace holdfast::sim
