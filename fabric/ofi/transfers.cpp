// Starting reads and sends: into the provider at once, or into the peer's queue where it takes no more.
#include <fmt/format.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include <algorithm>
#include <cstring>

#include "fabric/ofi/endpoint.h"
#include "fabric/ofi/errors.h"
#include "fabric/read_request.h"

namespace holdfast::fabric::ofi {
namespace {

constexpr std::string_view kRead = "Endpoint::read";
constexpr std::string_view kSend = "Endpoint::send";
constexpr std::size_t kMessagesInSlab = 32;

Error error_of(std::int64_t rc, std::string_view operation, std::string_view call) {
  return fail_ofi(rc, operation, call).value();
}

}  // namespace

Transfer& OfiEndpoint::start(std::uint32_t peer, Deadline deadline, Completion& completion) {
  HOLDFAST_CHECK(!closing_, "a completion called by the destructor must not start anything");
  Transfer& transfer = transfers_.take();
  transfer.peer = peer;
  transfer.deadline = deadline;
  transfer.completion = &completion;
  return transfer;
}

void OfiEndpoint::refuse(Transfer& transfer, Error error) {
  transfer.error = std::move(error);
  finish(transfer);
}

void OfiEndpoint::read(const ReadRequest& request, Completion& completion) {
  Transfer& transfer = start(request.peer.value, request.deadline, completion);
  transfer.is_read = true;
  const std::uint64_t size = request.into.size();
  if (request.peer.value >= peers_.size())
    return refuse(transfer, {Code::invalid, std::string(kRead), "no such peer; connect() first"});
  if (auto wrong = what_is_wrong(request, described_))
    return refuse(transfer, {Code::invalid, std::string(kRead), std::move(*wrong)});
  if (size == 0) return finish(transfer);
  auto descriptor = descriptor_of(request.into);
  if (!descriptor) return refuse(transfer, std::move(descriptor).error());
  transfer.descriptor = *descriptor;
  transfer.into = request.into;
  transfer.remote = request.from.base + (request.gather.empty() ? request.offset : 0);
  std::ranges::copy(request.gather, transfer.gather.begin());
  transfer.gathers = request.gather.size();
  transfer.key = request.from.key;
  transfer.hold = request.hold;
  if (transfer.deadline.passed(clock_))
    return refuse(transfer, {Code::timed_out, std::string(kRead), "the deadline had passed at the start"});
  if (!transfer.deadline.is_never()) deadlines_.add(transfer);
  go_on(transfer);
}

void OfiEndpoint::send(PeerId peer, std::span<const std::byte> bytes, Deadline deadline,
                       Completion& completion) {
  Transfer& transfer = start(peer.value, deadline, completion);
  transfer.is_read = false;
  if (peer.value >= peers_.size())
    return refuse(transfer, {Code::invalid, std::string(kSend), "no such peer; connect() first"});
  if (bytes.size() > kMaxMessageBytes)
    return refuse(transfer, {Code::invalid, std::string(kSend),
                             fmt::format("a message of {} bytes; at most {} can be sent", bytes.size(),
                                         kMaxMessageBytes)});
  if (transfer.deadline.passed(clock_))
    return refuse(transfer, {Code::timed_out, std::string(kSend), "the deadline had passed at the start"});
  auto message = take_message(bytes);
  if (!message) return refuse(transfer, std::move(message).error());
  transfer.message = *message;
  if (!transfer.deadline.is_never()) deadlines_.add(transfer);
  go_on(transfer);
}

Result<Message*> OfiEndpoint::take_message(std::span<const std::byte> bytes) {
  Message& message = messages_.take();
  if (message.data == nullptr) {
    auto slab = std::make_unique<std::byte[]>(kMessagesInSlab * kMaxMessageBytes);
    const std::span<std::byte> memory(slab.get(), kMessagesInSlab * kMaxMessageBytes);
    void* descriptor = nullptr;
    if (described_.needs_attach) {
      auto region = register_memory(memory, FI_SEND, kSend);
      if (!region) {
        messages_.give_back(message);
        return tl::unexpected(std::move(region).error());
      }
      descriptor = fi_mr_desc(region->get());
      message_regions_.push_back(std::move(*region));
    }
    message.data = memory.data();
    message.descriptor = descriptor;
    for (std::size_t i = 1; i < kMessagesInSlab; ++i) {
      Message& other = messages_.add();
      other.data = memory.data() + i * kMaxMessageBytes;
      other.descriptor = descriptor;
    }
    message_slabs_.push_back(std::move(slab));
  }
  message.bytes = static_cast<std::uint32_t>(bytes.size());
  if (!bytes.empty()) std::memcpy(message.data, bytes.data(), bytes.size());
  return &message;
}

bool OfiEndpoint::all_posted(const Transfer& transfer) const noexcept {
  return transfer.is_read ? transfer.posted_bytes == transfer.into.size() : transfer.sent;
}

List<Transfer>& OfiEndpoint::queue_of(Transfer& transfer) {
  Peer& peer = peers_[transfer.peer];
  return transfer.is_read ? peer.reads : peer.sends;
}

bool OfiEndpoint::room_for(const Peer& peer) const noexcept {
  return posted_ < kMaxPosted && peer.posted < kMaxPostedToPeer;
}

Work& OfiEndpoint::take_work(Transfer& transfer, Work::Kind kind) {
  Work& work = works_.take();
  work.kind = kind;
  work.transfer = &transfer;
  return work;
}

/// Gives the provider what it takes of a transfer that is in no queue; queues the rest.
void OfiEndpoint::go_on(Transfer& transfer) {
  // Behind others that wait for the same peer: order, for messages; fairness, for reads.
  if (!queue_of(transfer).empty()) return enter_queue(transfer);
  if (!(transfer.is_read ? post_read(transfer) : post_send(transfer))) return enter_queue(transfer);
  settle(transfer);
}

/// False where the provider takes no more now. True where all is posted, or as much as may be at a time (the
/// next piece follows when one ends), or an error ended it.
bool OfiEndpoint::post_read(Transfer& transfer) {
  Peer& peer = peers_[transfer.peer];
  while (transfer.posted_bytes < transfer.into.size() && transfer.in_flight < described_.best_depth) {
    if (!room_for(peer)) return false;
    const std::uint64_t bytes =
        std::min<std::uint64_t>(transfer.into.size() - transfer.posted_bytes, described_.best_read_bytes);
    Work& work = take_work(transfer, Work::Kind::read);
    const ssize_t rc =
        transfer.gathers == 0 ? post_piece(transfer, bytes, work) : post_gather(transfer, work);
    if (rc != 0) {
      works_.give_back(work);
      if (rc == -FI_EAGAIN) return false;
      transfer.error = error_of(rc, kRead, "fi_read");
      transfer.posted_bytes = transfer.into.size();
      return true;
    }
    transfer.posted_bytes += bytes;
    ++transfer.in_flight;
    ++peer.posted;
    ++posted_;
    ++stats_.read_operations;
  }
  return true;
}

ssize_t OfiEndpoint::post_piece(Transfer& transfer, std::uint64_t bytes, Work& work) {
  return fi_read(endpoint_.get(), transfer.into.data() + transfer.posted_bytes, bytes, transfer.descriptor,
                 peers_[transfer.peer].address, transfer.remote + transfer.posted_bytes, transfer.key,
                 &work.context);
}

ssize_t OfiEndpoint::post_gather(Transfer& transfer, Work& work) {
  std::array<fi_rma_iov, kMostGather> from;
  for (std::size_t i = 0; i < transfer.gathers; ++i)
    from[i] = {transfer.remote + transfer.gather[i].offset, transfer.gather[i].bytes, transfer.key};
  iovec into = {transfer.into.data(), transfer.into.size()};
  fi_msg_rma message{};
  message.msg_iov = &into;
  message.desc = &transfer.descriptor;
  message.iov_count = 1;
  message.addr = peers_[transfer.peer].address;
  message.rma_iov = from.data();
  message.rma_iov_count = transfer.gathers;
  message.context = &work.context;
  return fi_readmsg(endpoint_.get(), &message, 0);
}

bool OfiEndpoint::post_send(Transfer& transfer) {
  Peer& peer = peers_[transfer.peer];
  if (!room_for(peer)) return false;
  Work& work = take_work(transfer, Work::Kind::send);
  const Message& message = *transfer.message;
  // Not fi_inject: what fails later would only be logged by the provider.
  const ssize_t rc =
      fi_send(endpoint_.get(), message.data, message.bytes, message.descriptor, peer.address, &work.context);
  if (rc != 0) works_.give_back(work);
  if (rc == -FI_EAGAIN) return false;
  transfer.sent = true;
  if (rc != 0) {
    transfer.error = error_of(rc, kSend, "fi_send");
    return true;
  }
  ++transfer.in_flight;
  ++peer.posted;
  ++posted_;
  return true;
}

void OfiEndpoint::enter_queue(Transfer& transfer) {
  if (waiting_ >= kMaxWaiting && transfer.in_flight == 0)
    return refuse(transfer, {Code::full, std::string(transfer.is_read ? kRead : kSend),
                             fmt::format("{} operations wait for the network already", kMaxWaiting)});
  Peer& peer = peers_[transfer.peer];
  queue_of(transfer).push_back(transfer);
  transfer.queued = true;
  ++waiting_;
  if (peer.active) return;
  peer.active = true;
  peer.refused_since = clock_.now();
  peer.retry_at = peer.refused_since + kShortestRetry;
  peer.probe_at = peer.refused_since + probe_after();
  active_peers_.push_back(transfer.peer);
}

void OfiEndpoint::leave_queue(Transfer& transfer) {
  if (!transfer.queued) return;
  queue_of(transfer).remove(transfer);
  transfer.queued = false;
  --waiting_;
}

/// Offers one peer's waiting operations in order, as far as the provider takes them. True where none is left.
bool OfiEndpoint::offer_queue(List<Transfer>& queue) {
  while (Transfer* transfer = queue.first()) {
    const std::uint32_t before = transfer->in_flight;
    const bool posted = transfer->is_read ? post_read(*transfer) : post_send(*transfer);
    if (transfer->in_flight != before) {
      Peer& peer = peers_[transfer->peer];
      peer.refused_since = clock_.now();
      peer.probe_at = peer.refused_since + probe_after();
    }
    if (!posted) return false;
    leave_queue(*transfer);
    settle(*transfer);
  }
  return true;
}

/// Ends what waits for a peer at whose address nobody listens.
void OfiEndpoint::give_up_if_refused(Peer& peer, TimePoint now) {
  if (peer.probe_address.empty()) return;
  if (!peer.probe.under_way()) {
    if (now < peer.probe_at || peer.posted > 0) return;  // what is posted tells when the connection breaks
    peer.probe = RefusalProbe::start(peer.probe_address);
    peer.probe_at = now + kProbeAgain;
  }
  if (peer.probe.look() != RefusalProbe::Answer::refused) return;
  for (List<Transfer>* queue : {&peer.sends, &peer.reads}) {
    while (Transfer* transfer = queue->first()) {
      transfer->error = Error{Code::owner_lost, std::string(transfer->is_read ? kRead : kSend),
                              "nobody listens at the peer's address any more"};
      settle(*transfer);  // takes it out of the queue
    }
  }
}

void OfiEndpoint::offer_waiting() {
  if (active_peers_.empty()) return;
  const TimePoint now = clock_.now();
  for (std::size_t i = 0; i < active_peers_.size();) {
    Peer& peer = peers_[active_peers_[i]];
    if (now < peer.retry_at) {
      ++i;
      continue;
    }
    const bool sends_gone = offer_queue(peer.sends);
    const bool reads_gone = offer_queue(peer.reads);
    if (!sends_gone || !reads_gone) give_up_if_refused(peer, now);
    if (peer.sends.empty() && peer.reads.empty()) {
      peer.active = false;
      active_peers_[i] = active_peers_.back();
      active_peers_.pop_back();
      continue;
    }
    peer.retry_at = now + std::clamp((now - peer.refused_since) / 16, kShortestRetry, kLongestRetry);
    ++i;
  }
}

}  // namespace holdfast::fabric::ofi
