#include "holdfast/fabric/sim/timeline.h"

#include <algorithm>
#include <utility>

#include "holdfast/base/check.h"

namespace holdfast::sim {
namespace {

// Who goes on and on at one time would never come to another.
constexpr std::uint64_t kMostAtOneTime = 4'000'000;

}  // namespace

EventId Timeline::at(TimePoint when, std::function<void()> run) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot].run = std::move(run);
  heap_.emplace_back();
  rise(heap_.size() - 1, {std::max(when, now()), next_number_++, slot});
  return {slot, slots_[slot].generation};
}

bool Timeline::cancel(EventId& id) {
  const EventId gone = std::exchange(id, {});
  if (gone.generation == 0 || slots_[gone.slot].generation != gone.generation) return false;
  take_out(slots_[gone.slot].place);
  slots_[gone.slot].run = nullptr;
  free_slot(gone.slot);
  return true;
}

std::optional<TimePoint> Timeline::next_event_time() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().when;
}

bool Timeline::step() {
  HOLDFAST_CHECK(!running_, "an event must not run other events; schedule one instead");
  if (heap_.empty()) return false;
  const Entry next = heap_.front();
  take_out(0);
  const std::function<void()> run = std::move(slots_[next.slot].run);
  slots_[next.slot].run = nullptr;
  free_slot(next.slot);
  events_since_time_moved_ = next.when > now() ? 0 : events_since_time_moved_ + 1;
  HOLDFAST_CHECK(events_since_time_moved_ < kMostAtOneTime, "events go on for ever at one virtual time");
  clock_.advance(next.when - now());
  ++events_run_;
  note(TraceKind::event, next.number);
  running_ = true;
  run();
  running_ = false;
  return true;
}

void Timeline::run_until(TimePoint time) {
  while (!heap_.empty() && heap_.front().when <= time) step();
  if (time > now()) clock_.advance(time - now());
}

void Timeline::put(std::size_t place, const Entry& entry) {
  heap_[place] = entry;
  slots_[entry.slot].place = static_cast<std::uint32_t>(place);
}

void Timeline::rise(std::size_t place, const Entry& entry) {
  while (place > 0) {
    const std::size_t parent = (place - 1) / 2;
    if (!entry.before(heap_[parent])) break;
    put(place, heap_[parent]);
    place = parent;
  }
  put(place, entry);
}

void Timeline::sink(std::size_t place, const Entry& entry) {
  for (;;) {
    std::size_t child = 2 * place + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
    if (!heap_[child].before(entry)) break;
    put(place, heap_[child]);
    place = child;
  }
  put(place, entry);
}

void Timeline::take_out(std::size_t place) {
  const Entry last = heap_.back();
  heap_.pop_back();
  if (place == heap_.size()) return;
  if (place > 0 && last.before(heap_[(place - 1) / 2])) return rise(place, last);
  sink(place, last);
}

void Timeline::free_slot(std::uint32_t slot) {
  if (++slots_[slot].generation == 0) slots_[slot].generation = 1;
  free_slots_.push_back(slot);
}

std::string_view to_string(TraceKind kind) noexcept {
  switch (kind) {
    case TraceKind::event:
      return "event";
    case TraceKind::opened:
      return "opened";
    case TraceKind::closed:
      return "closed";
    case TraceKind::connected:
      return "connected";
    case TraceKind::refused:
      return "refused";
    case TraceKind::broken:
      return "broken";
    case TraceKind::sent:
      return "sent";
    case TraceKind::landed:
      return "landed";
    case TraceKind::served:
      return "served";
    case TraceKind::copied:
      return "copied";
    case TraceKind::denied:
      return "denied";
    case TraceKind::ended:
      return "ended";
    case TraceKind::received:
      return "received";
    case TraceKind::parked:
      return "parked";
    case TraceKind::resent:
      return "resent";
    case TraceKind::fault:
      return "fault";
    case TraceKind::disk_write:
      return "disk_write";
    case TraceKind::disk_read:
      return "disk_read";
    case TraceKind::disk_fault:
      return "disk_fault";
    case TraceKind::user:
      return "user";
  }
  return "unknown";
}

}  // namespace holdfast::sim
