// Driving: completions, deadlines, sleeping and waking.
#include <fmt/format.h>
#include <poll.h>
#include <rdma/fi_errno.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fabric/ofi/endpoint.h"
#include "fabric/ofi/errors.h"
#include "holdfast/base/log.h"

namespace holdfast::fabric::ofi {
namespace {

constexpr std::size_t kEntriesAtOnce = 32;
/// Completions one poll takes at most, so that a flood cannot keep it from deadlines.
constexpr int kBatchesInPoll = 8;
/// Bound on the spin a caller asks for; adding it to any time cannot overflow.
constexpr Duration kLongestSpin = std::chrono::hours(1);
/// After how many sleeps in a row that ended at once, with nothing to do, the queue's signal counts as stale.
constexpr int kStaleSleeps = 8;
/// Sleeps shorter than this end at once.
constexpr Duration kAtOnce = std::chrono::microseconds(20);
/// The shortest time fi_cq_sread sleeps, in milliseconds: what a wake() may be late while a signal is
/// cleared.
constexpr int kClearMilliseconds = 1;
/// rxm takes in one arrival a look; more than all that can wait in its queue.
constexpr int kLooksBeforeClose = 1024;
/// How long to sleep where the provider has nothing to sleep on.
constexpr Duration kBlindSleep = std::chrono::microseconds(200);

}  // namespace

std::size_t OfiEndpoint::poll() { return poll(clock_.now()); }

std::size_t OfiEndpoint::poll(TimePoint now) {
  HOLDFAST_CHECK(!polling_, "poll() and wait() are not called from inside a completion or a receiver");
  polling_ = true;
  events_ = 0;
  drain_queue();
  offer_waiting();
  expire(now);
  complete_finished();
  post_receives();
  polling_ = false;
  return events_;
}

void OfiEndpoint::drain_queue() {
  if (early_entry_) {
    const fi_cq_msg_entry entry = *std::exchange(early_entry_, std::nullopt);
    ended(*static_cast<Work*>(entry.op_context), entry.len, nullptr);
  }
  std::array<fi_cq_msg_entry, kEntriesAtOnce> entries;
  for (int batch = 0; batch < kBatchesInPoll; ++batch) {
    const ssize_t count = fi_cq_read(queue_.get(), entries.data(), entries.size());
    if (count == -FI_EAGAIN || count == 0) return;
    if (count == -FI_EAVAIL) {
      if (!read_error()) return;
      continue;
    }
    if (count < 0) {
      log(LogLevel::error, fmt::format("fabric: fi_cq_read: {}", describe(count)));
      return;
    }
    for (ssize_t i = 0; i < count; ++i)
      ended(*static_cast<Work*>(entries[i].op_context), entries[i].len, nullptr);
    if (static_cast<std::size_t>(count) < entries.size()) return;
  }
}

/// Before the endpoint is closed. rxm closes each connection, and then looks through its queue for what had
/// come by it, which it gives back to the connection's memory, freed by then
/// (https://github.com/ofiwg/libfabric/issues/11828): a process that closed while others sent to it crashed.
/// So there should be nothing left; what arrives within the microseconds until the connection is closed can
/// still be met. Over RDMA only: over TCP each look would answer reads of exposed memory, too, which nobody
/// drives any more.
void OfiEndpoint::take_in_arrivals() {
  for (int look = 0; look < kLooksBeforeClose; ++look) drain_queue();
}

bool OfiEndpoint::read_error() {
  fi_cq_err_entry entry{};
  if (fi_cq_readerr(queue_.get(), &entry, 0) != 1) return false;
  auto* work = static_cast<Work*>(entry.op_context);
  if (work == nullptr) return true;  // about a connection, not an operation
  const std::string_view operation = work->kind == Work::Kind::read ? "Endpoint::read" : "Endpoint::send";
  const Error error{code_of(entry.err), std::string(operation),
                    fmt::format("the provider reports: {}", describe(entry.err))};
  ended(*work, 0, &error);
  return true;
}

/// The provider is done with a work, well or badly.
void OfiEndpoint::ended(Work& work, std::size_t bytes, const Error* error) {
  if (work.kind == Work::Kind::receive) {
    if (error == nullptr) return received(work.slot, bytes);
    unposted_receives_.push_back(work.slot);  // e.g. a longer message of a foreign sender, cut off
    return;
  }
  Transfer& transfer = *work.transfer;
  works_.give_back(work);
  --transfer.in_flight;
  Peer& peer = peers_[transfer.peer];
  --peer.posted;
  if (!transfer.quarantined) --posted_;
  if (peer.active) peer.retry_at = TimePoint::min();  // it moves: offer what waits now
  if (error != nullptr && !transfer.error) transfer.error = *error;
  const bool goes_on = !transfer.quarantined && !transfer.error && !transfer.queued && !all_posted(transfer);
  if (goes_on) return go_on(transfer);
  settle(transfer);
}

/// Ends a transfer that nothing is left of with the provider or in a queue.
void OfiEndpoint::settle(Transfer& transfer) {
  if (transfer.error && transfer.queued) leave_queue(transfer);
  if (transfer.in_flight > 0 || transfer.queued) return;
  if (transfer.error || transfer.quarantined || all_posted(transfer)) finish(transfer);
}

/// Nothing of the transfer is with the provider any more.
void OfiEndpoint::finish(Transfer& transfer) {
  deadlines_.remove(transfer);
  if (!transfer.quarantined) return finished_.push_back(transfer);
  if (transfer.is_read) --stats_.quarantined;
  release(transfer);
}

void OfiEndpoint::release(Transfer& transfer) {
  if (transfer.message != nullptr) messages_.give_back(*transfer.message);
  transfer = Transfer{};
  transfers_.give_back(transfer);
}

void OfiEndpoint::complete(Transfer& transfer) {
  ++events_;
  Completion& completion = *std::exchange(transfer.completion, nullptr);
  if (transfer.error) return completion.complete(tl::unexpected(*transfer.error));
  if (transfer.is_read) {
    ++stats_.reads;
    stats_.read_bytes += transfer.into.size();
  } else {
    ++stats_.sends;
  }
  completion.complete({});
}

void OfiEndpoint::complete_finished() {
  // Only those there now: completions that start what fails at once must not keep us here.
  List<Transfer> now = std::exchange(finished_, {});
  while (Transfer* transfer = now.pop_front()) {
    complete(*transfer);
    release(*transfer);
  }
}

void OfiEndpoint::expire(TimePoint now) {
  while (!deadlines_.empty() && deadlines_.nearest().deadline.time() <= now) {
    Transfer& transfer = deadlines_.nearest();
    leave_queue(transfer);
    deadlines_.remove(transfer);
    transfer.error = Error{Code::timed_out, transfer.is_read ? "Endpoint::read" : "Endpoint::send",
                           transfer.in_flight > 0 ? "the peer did not answer before the deadline"
                                                  : "the peer could not be reached before the deadline"};
    if (transfer.in_flight == 0) {
      finished_.push_back(transfer);
      continue;
    }
    // The provider may still write the buffer. `hold` stays until it has reported every piece.
    transfer.quarantined = true;
    posted_ -= transfer.in_flight;
    if (transfer.is_read) ++stats_.quarantined;
    complete(transfer);
  }
}

TimePoint OfiEndpoint::next_own_event(TimePoint until) const noexcept {
  if (!finished_.empty() || !unposted_receives_.empty()) return TimePoint::min();
  if (!deadlines_.empty()) until = std::min(until, deadlines_.nearest().deadline.time());
  for (const std::uint32_t peer : active_peers_) until = std::min(until, peers_[peer].retry_at);
  return until;
}

std::size_t OfiEndpoint::wait(Deadline until, Duration spin) {
  // A turn of the spin looks at the clock once: that costs as much as an empty queue.
  TimePoint now = clock_.now();
  const TimePoint spin_until = now + std::clamp(spin, Duration::zero(), kLongestSpin);
  for (;;) {
    const std::size_t events = poll(now);
    if (events > 0 || take_wake() || now >= until.time()) return events;
    if (now >= spin_until) sleep(next_own_event(until.time()));
    now = clock_.now();
  }
}

/// Blocks until the provider has something to do, wake() is called, or `until`.
void OfiEndpoint::sleep(TimePoint until) {
  const TimePoint now = clock_.now();
  if (until <= now) return;
  Duration left = std::min<Duration>(until - now, kLongestSleep);
  std::array<pollfd, 2> descriptors = {{{wake_event_.get(), POLLIN, 0}, {queue_fd_, POLLIN, 0}}};
  nfds_t count = 2;
  if (queue_fd_ < 0) {
    count = 1;
    left = std::min(left, kBlindSleep);
  } else {
    // Arms the descriptor; refuses where something came in since the last poll. (fi_cq_signal and
    // fi_cq_sread are not used: in libfabric 1.17 a signal between their check and their wait is lost.)
    fid* queue = &queue_->fid;
    if (fi_trywait(&domain_->fabric(), &queue, 1) != 0) return;
    if (stale_sleeps_ >= kStaleSleeps) return clear_stale_signal();
  }
  const timespec timeout = {static_cast<time_t>(left.count() / 1'000'000'000),
                            static_cast<long>(left.count() % 1'000'000'000)};
  if (ppoll(descriptors.data(), count, &timeout, nullptr) == 0) life_sign_.drain();
  const bool at_once = descriptors[1].revents != 0 && clock_.now() - now < kAtOnce;
  stale_sleeps_ = at_once ? stale_sleeps_ + 1 : 0;
  // Also where take_wake() finds nothing: a wake() may write after the waiter has taken its flag.
  if (descriptors[0].revents != 0) drain_wake_event();
}

/// net signals its queue with every completion and, in libfabric 1.17 and 1.18, takes the signal back only
/// inside fi_cq_sread (libfabric #8981): without this the first completion would end all sleeping.
void OfiEndpoint::clear_stale_signal() {
  stale_sleeps_ = 0;
  fi_cq_msg_entry entry;
  const ssize_t count = fi_cq_sread(queue_.get(), &entry, 1, nullptr, kClearMilliseconds);
  if (count == 1) early_entry_ = entry;  // taken by the next drain_queue(), before all others
}

void OfiEndpoint::drain_wake_event() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t ignored = ::read(wake_event_.get(), &count, sizeof(count));
}

/// True where wake() was called since the last time. The exchange pairs with that of wake(): what the waker
/// did before is visible after.
bool OfiEndpoint::take_wake() noexcept {
  if (!woken_.load(std::memory_order_relaxed)) return false;
  drain_wake_event();
  return woken_.exchange(false, std::memory_order_acq_rel);
}

void OfiEndpoint::wake() noexcept {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;  // the waiter has not taken the last one yet
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(wake_event_.get(), &one, sizeof(one));
}

}  // namespace holdfast::fabric::ofi
