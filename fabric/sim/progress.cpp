// Poll, wait and wake, and being called when there is something to do.
#include <utility>

#include "fabric/sim/endpoint.h"
#include "fabric/sim/network_core.h"

namespace holdfast::sim {

bool SimEndpoint::runs() const { return alive_ && !core_.process(process_).stopped; }

bool SimEndpoint::has_work() const noexcept {
  return !finished_.empty() || !arrived_.empty() || !requests_.empty();
}

void SimEndpoint::arm() {
  if (!on_ready_ || ready_event_.generation != 0 || !runs()) return;
  const Duration reaction = core_.options().reaction * core_.process(process_).slow;
  ready_event_ = core_.timeline().after(reaction, [this] {
    ready_event_ = {};
    become_ready();
  });
}

void SimEndpoint::arm_if_work() {
  if (has_work() || woken_ || alarm_due_) arm();
}

void SimEndpoint::become_ready() {
  // Stopped since: resume() arms again. Nothing left: somebody has polled in between.
  if (!runs() || !(has_work() || woken_ || alarm_due_)) return;
  alarm_due_ = false;
  woken_ = false;                              // one that comes from inside the call is for the next
  if (const auto call = on_ready_) (*call)();  // may destroy this endpoint
}

std::size_t SimEndpoint::poll() {
  HOLDFAST_CHECK(!polling_, "a completion or a receiver must not poll its endpoint");
  if (!runs()) return 0;
  polling_ = true;
  serve_requests();
  const std::size_t events = tell_finished() + receive();
  polling_ = false;
  if (has_work()) arm();
  return events;
}

/// What others have asked of this process until now.
void SimEndpoint::serve_requests() {
  std::vector<Flight*> asked;
  while (Flight* flight = requests_.pop_front()) {
    flight->place = nullptr;
    asked.push_back(flight);
  }
  for (Flight* flight : asked) core_.serve(*flight);
}

void SimEndpoint::tell_one(Outcome& outcome) {
  if (!outcome.error) {
    ++(outcome.is_read ? stats_.reads : stats_.sends);
    stats_.read_bytes += outcome.is_read ? outcome.bytes : 0;
  }
  core_.timeline().note(TraceKind::ended, serial_,
                        outcome.error ? 1 + static_cast<std::uint64_t>(outcome.error->code) : 0);
  Status status;
  if (outcome.error) status = tl::unexpected(std::move(*outcome.error));
  outcome.completion->complete(std::move(status));
}

/// What has ended until now; what a completion starts and ends at once is for the next poll.
std::size_t SimEndpoint::tell_finished() {
  if (finished_.empty()) return 0;
  std::vector<Outcome> now = std::exchange(finished_, {});
  std::size_t told = 0;
  for (Outcome& outcome : now) {
    if (!runs()) {  // a completion crashed or stopped this very process
      finished_.insert(finished_.begin(), std::make_move_iterator(now.begin() + static_cast<long>(told)),
                       std::make_move_iterator(now.end()));
      break;
    }
    ++told;
    tell_one(outcome);
    outcome.hold.reset();
  }
  return told;
}

std::size_t SimEndpoint::receive() {
  if (arrived_.empty()) return 0;
  std::vector<std::vector<std::byte>> now = std::exchange(arrived_, {});
  std::size_t received = 0;
  for (const std::vector<std::byte>& message : now) {
    if (!runs()) {
      arrived_.insert(arrived_.begin(), std::make_move_iterator(now.begin() + static_cast<long>(received)),
                      std::make_move_iterator(now.end()));
      break;
    }
    ++received;
    ++stats_.receives;
    core_.timeline().note(TraceKind::received, serial_, message.size());
    if (receiver_) receiver_(message);
    --slots_used_;
  }
  if (alive_) core_.let_in_stalled(*this);
  return received;
}

/// The next time is_ready is called without work; in place of the one before.
void SimEndpoint::set_alarm(Deadline until) {
  core_.timeline().cancel(alarm_);
  if (!alive_ || until.is_never() || until.passed(core_.timeline().clock())) return;
  alarm_ = core_.timeline().at(until.time(), [this] {
    alarm_ = {};
    alarm_due_ = true;
    arm();
  });
}

std::size_t SimEndpoint::wait(Deadline until, Duration) {
  Timeline& timeline = core_.timeline();
  std::size_t events = poll();
  if (timeline.inside_event()) {
    if (!on_ready_) take_wake();
    set_alarm(until);
    return events;
  }
  while (events == 0 && !take_wake() && !until.passed(timeline.clock())) {
    const auto next = timeline.next_event_time();
    HOLDFAST_CHECK(
        next.has_value() || !until.is_never(),
        "the simulation hangs: an endpoint waits without a deadline and nothing is left to happen");
    if (!next || *next > until.time()) {
      timeline.run_until(until.time());
      return poll();
    }
    timeline.step();
    if (has_work()) events = poll();
  }
  return events;
}

void SimEndpoint::wake() noexcept {
  woken_ = true;
  arm();
}

}  // namespace holdfast::sim
