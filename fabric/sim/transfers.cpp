// Reads and sends: into the network at once, or into the peer's queue until there is a connection and room.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "fabric/read_request.h"
#include "fabric/sim/endpoint.h"
#include "fabric/sim/network_core.h"

namespace holdfast::sim {
namespace {

std::string operation(const Transfer& transfer) {
  return transfer.is_read ? "Endpoint::read" : "Endpoint::send";
}

}  // namespace

Transfer& SimEndpoint::start(std::uint32_t peer, Deadline deadline, Completion& completion, bool is_read) {
  HOLDFAST_CHECK(!closing_, "a completion called by the destructor must not start anything");
  Transfer& transfer = core_.new_transfer();
  transfer.endpoint = this;
  transfer.peer = peer;
  transfer.completion = &completion;
  transfer.is_read = is_read;
  transfers_.push_back(transfer);
  if (alive_ && !deadline.is_never() && !deadline.passed(core_.timeline().clock()))
    transfer.deadline_event = core_.timeline().at(deadline.time(), [this, &transfer] {
      transfer.deadline_event = {};
      expire(transfer);
    });
  return transfer;
}

void SimEndpoint::refuse(Transfer& transfer, Code code, std::string why) {
  transfer.error = Error{code, operation(transfer), std::move(why)};
  tell(transfer);
}

void SimEndpoint::read(const fabric::ReadRequest& request, Completion& completion) {
  Transfer& transfer = start(request.peer.value, request.deadline, completion, true);
  const std::uint64_t size = request.into.size();
  if (request.peer.value >= peers_.size())
    return refuse(transfer, Code::invalid, "no such peer; connect() first");
  if (auto wrong = fabric::what_is_wrong(request, core_.process(process_).fabric->info()))
    return refuse(transfer, Code::invalid, std::move(*wrong));
  if (size == 0) return tell(transfer);
  transfer.into = request.into;
  transfer.from = request.from;
  transfer.offset = request.offset;
  transfer.gather.assign(request.gather.begin(), request.gather.end());
  transfer.hold = request.hold;
  if (request.deadline.passed(core_.timeline().clock()))
    return refuse(transfer, Code::timed_out, "the deadline had passed at the start");
  enter(transfer);
}

void SimEndpoint::send(fabric::PeerId peer, std::span<const std::byte> message, Deadline deadline,
                       Completion& completion) {
  Transfer& transfer = start(peer.value, deadline, completion, false);
  if (peer.value >= peers_.size()) return refuse(transfer, Code::invalid, "no such peer; connect() first");
  if (message.size() > fabric::kMaxMessageBytes)
    return refuse(transfer, Code::invalid,
                  fmt::format("a message of {} bytes; at most {} can be sent", message.size(),
                              fabric::kMaxMessageBytes));
  if (deadline.passed(core_.timeline().clock()))
    return refuse(transfer, Code::timed_out, "the deadline had passed at the start");
  transfer.message.assign(message.begin(), message.end());
  enter(transfer);
}

/// Queues, and posts at once what can be.
void SimEndpoint::enter(Transfer& transfer) {
  if (!alive_) return;  // the process has crashed: nothing moves
  const Peer& peer = peers_[transfer.peer];
  const bool at_once = peer.connection && peer.connection->up && queue_of(transfer).empty() &&
                       peer.posted < core_.options().max_posted_to_peer;
  const std::uint32_t limit = core_.process(process_).max_waiting;
  if (!at_once && waiting_ >= limit)
    return refuse(transfer, Code::full, fmt::format("{} operations wait for the network already", waiting_));
  queue_of(transfer).push_back(transfer);
  ++waiting_;
  pump(transfer.peer);
}

List<Transfer>& SimEndpoint::queue_of(Transfer& transfer) {
  Peer& peer = peers_[transfer.peer];
  return transfer.is_read ? peer.reads : peer.sends;
}

void SimEndpoint::leave_queue(Transfer& transfer) {
  queue_of(transfer).remove(transfer);
  --waiting_;
}

void SimEndpoint::pump(std::uint32_t index) {
  Peer& peer = peers_[index];
  if (!alive_ || (peer.reads.empty() && peer.sends.empty())) return;
  if (!peer.connection) {
    peer.connection = core_.connect(*this, index, peer.address);
    return;
  }
  if (!peer.connection->up) return;
  while (Transfer* transfer = peer.sends.first()) {
    if (peer.posted >= core_.options().max_posted_to_peer) break;
    leave_queue(*transfer);
    ++peer.posted;
    ++transfer->in_flight;
    core_.post_message(peer.connection, *transfer);
  }
  while (Transfer* transfer = peer.reads.first()) {
    if (!post(*transfer)) break;
    leave_queue(*transfer);
  }
}

/// False where there is no room now. True where all of the read is posted, or as much as may be at a time:
/// the next follows when one ends.
bool SimEndpoint::post(Transfer& transfer) {
  Peer& peer = peers_[transfer.peer];
  const NetworkOptions& options = core_.options();
  while (transfer.posted_bytes < transfer.into.size() && transfer.in_flight < options.best_depth) {
    if (peer.posted >= options.max_posted_to_peer) return false;
    const std::uint64_t bytes =
        std::min<std::uint64_t>(transfer.into.size() - transfer.posted_bytes, options.best_read_bytes);
    ++peer.posted;
    ++transfer.in_flight;
    ++stats_.read_operations;
    core_.post_read(peer.connection, transfer, bytes);
    transfer.posted_bytes += bytes;
  }
  return true;
}

void SimEndpoint::message_left(Transfer& transfer) {
  --transfer.in_flight;
  transfer.sent = true;
  settle(transfer);
}

void SimEndpoint::operation_ended(Transfer& transfer, std::optional<Error> error) {
  --transfer.in_flight;
  if (error && !transfer.error) transfer.error = std::move(error);
  const bool goes_on = transfer.is_read && !transfer.error && !transfer.links.listed &&
                       transfer.posted_bytes < transfer.into.size();
  if (goes_on && !post(transfer)) {
    queue_of(transfer).push_back(transfer);
    ++waiting_;
  }
  settle(transfer);
}

/// Ends it if nothing of it is under way, and nothing will be.
void SimEndpoint::settle(Transfer& transfer) {
  if (transfer.in_flight > 0) return;
  const bool all = transfer.is_read ? transfer.posted_bytes == transfer.into.size() : transfer.sent;
  if (!all && !transfer.error) return;
  if (!transfer.quarantined) return tell(transfer);
  if (transfer.is_read) --stats_.quarantined;
  release(transfer);
}

/// Its end is told by the next poll.
void SimEndpoint::tell(Transfer& transfer) {
  finished_.push_back({transfer.completion, std::move(transfer.error), std::move(transfer.hold),
                       transfer.is_read, transfer.into.size()});
  release(transfer);
  arm();
}

void SimEndpoint::release(Transfer& transfer) {
  if (transfer.links.listed) leave_queue(transfer);
  core_.timeline().cancel(transfer.deadline_event);
  transfers_.remove(transfer);
  core_.free(transfer);
}

void SimEndpoint::expire(Transfer& transfer) {
  if (transfer.links.listed) leave_queue(transfer);
  const bool posted = transfer.in_flight > 0;
  transfer.error = Error{Code::timed_out, operation(transfer),
                         posted ? "the peer did not answer before the deadline"
                                : "the peer could not be reached before the deadline"};
  if (!posted) return tell(transfer);
  // The network may still write the buffer. `hold` stays until every piece has ended.
  transfer.quarantined = true;
  if (transfer.is_read) ++stats_.quarantined;
  finished_.push_back({std::exchange(transfer.completion, nullptr), transfer.error, {}, transfer.is_read, 0});
  arm();
}

void SimEndpoint::fail_waiting(std::uint32_t index, const std::string& why) {
  Peer& peer = peers_[index];
  for (List<Transfer>* queue : {&peer.sends, &peer.reads})
    while (Transfer* transfer = queue->first()) {
      leave_queue(*transfer);
      transfer->error = Error{Code::owner_lost, operation(*transfer), why};
      settle(*transfer);
    }
}

}  // namespace holdfast::sim
