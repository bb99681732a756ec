#include "src/channel.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "holdfast/base/random.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

// How often a peer that owes a reply is probed. Long enough to cost nothing, short against any deadline a
// person would choose.
constexpr Duration kProbeInterval = std::chrono::milliseconds(200);

// A reply that cannot be handed to the network this long is for a peer that does not read any more. And how
// soon one comes again that the network refused, as it does where too much waits already.
constexpr Duration kReplyTimeout = std::chrono::seconds(10);
constexpr Duration kReplyAgain = std::chrono::milliseconds(1);

}  // namespace

/// Resumes one waiter when it is set or when its time comes.
class Channel::Event {
 public:
  explicit Event(Channel& channel) noexcept : channel_(channel) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void wait_until(TimePoint when) noexcept { when_ = when; }
  void set() {
    if (!waiting_) return;
    channel_.timers_.erase(timer_);
    resume();
  }
  void resume() { std::exchange(waiting_, {}).resume(); }

  bool await_ready() const noexcept { return channel_.closing_; }
  void await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    timer_ = channel_.timers_.emplace(when_, this);
  }
  void await_resume() const noexcept {}

 private:
  Channel& channel_;
  TimePoint when_{};
  std::coroutine_handle<> waiting_;
  std::multimap<TimePoint, Event*>::iterator timer_;
};

/// Known to the channel, which brings the reply, while it lives; in a frame together with what it refers to.
class Channel::PendingCall final : private Cancellation::Waiter {
 public:
  PendingCall(Channel& channel, const Receiver& receiver, const MessageHeader& header,
              Cancellation* cancellation)
      : event(channel), channel_(channel), receiver_(receiver), header_(header), cancellation_(cancellation) {
    channel_.calls_.emplace(header_.request, this);
    if (cancellation_ != nullptr) cancellation_->add(*this);
  }
  ~PendingCall() {
    if (cancellation_ != nullptr) cancellation_->remove(*this);
    channel_.calls_.erase(header_.request);
  }
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;

  MessageType type() const noexcept { return header_.type; }
  bool is_called_off() const noexcept { return cancellation_ != nullptr && cancellation_->requested(); }

  Event event;
  std::optional<std::vector<std::byte>> reply;

 private:
  void called_off() override {
    // At once, behind the request: nobody may drive the channel for long, not even to the end of its sending.
    if (!reply && !channel_.closing_) channel_.give_up(receiver_, header_);
    event.set();
  }

  Channel& channel_;
  const Receiver& receiver_;
  const MessageHeader& header_;
  Cancellation* cancellation_;
};

namespace {

/// Awaits one send.
class Send final : private fabric::Completion {
 public:
  Send(fabric::Endpoint& endpoint, fabric::PeerId peer, std::span<const std::byte> message,
       Deadline deadline) noexcept
      : endpoint_(endpoint), peer_(peer), message_(message), deadline_(deadline) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    endpoint_.send(peer_, message_, deadline_, *this);
  }
  Status await_resume() { return std::move(status_); }

 private:
  void complete(Status status) override {
    status_ = std::move(status);
    waiting_.resume();
  }
  fabric::Endpoint& endpoint_;
  fabric::PeerId peer_;
  std::span<const std::byte> message_;
  Deadline deadline_;
  std::coroutine_handle<> waiting_;
  Status status_;
};

}  // namespace

Channel::Channel(std::unique_ptr<fabric::Endpoint> endpoint, const Clock& clock, Sender sender)
    : endpoint_(std::move(endpoint)),
      clock_(clock),
      sender_(sender),
      next_request_(mix64(sender.incarnation)) {
  endpoint_->set_receiver([this](std::span<const std::byte> bytes) { receive(bytes); });
}

Channel::~Channel() {
  closing_ = true;
  while (!timers_.empty()) {
    Event* const event = timers_.begin()->second;
    timers_.erase(timers_.begin());
    event->resume();
  }
  endpoint_.reset();
}

Status Channel::closed_status() const {
  return fail(Code::timed_out, "Channel", "the store was closed before the operation ended");
}

std::size_t Channel::drive(Deadline until, Duration spin) {
  if (!timers_.empty()) until = std::min(until, Deadline::at(timers_.begin()->first));
  const std::size_t moved = until.passed(clock_) ? endpoint_->poll() : endpoint_->wait(until, spin);
  // After waiting: who rings wakes the endpoint after that, so none is missed.
  if (some_rang_.load(std::memory_order_acquire)) [[unlikely]]
    answer_bells();
  fire_timers();
  return moved;
}

void Channel::answer_bells() {
  some_rang_.store(false, std::memory_order_seq_cst);
  // One at a time: who goes on may listen to others, or end.
  for (;;) {
    const auto rung = std::ranges::find_if(listened_to_, [](const Bell* bell) { return bell->has_rung(); });
    if (rung == listened_to_.end()) return;
    Event* const event = (*rung)->event_;
    listened_to_.erase(rung);
    event->set();
  }
}

void Channel::fire_timers() {
  if (timers_.empty()) return;
  const TimePoint now = clock_.now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Event* const event = timers_.begin()->second;
    timers_.erase(timers_.begin());
    event->resume();
  }
}

void Channel::receive(std::span<const std::byte> bytes) {
  ++messages_received_;
  const auto header = decode_message(bytes);
  // Whoever sends what cannot be read is no member of this job, or of another version: not worth an answer.
  if (!header) return;
  if (is_about_references(header->type)) reference_bytes_received_ += bytes.size();
  if (header->type == MessageType::reply) {
    if (reply_watcher_) reply_watcher_(*header);
    const auto found = calls_.find(header->request);
    if (found == calls_.end()) return answered_no_call(*header, bytes.size());
    PendingCall& call = *found->second;
    if (is_about_references(call.type())) reference_bytes_received_ += bytes.size();
    call.reply.emplace(header->body.begin(), header->body.end());
    call.event.set();
  } else if (header->to_incarnation != sender_.incarnation &&
             !HOLDFAST_MUTATION(accept_another_incarnation)) {
    WireWriter body;
    put_status(body, fail(Code::owner_lost, "Channel::call",
                          "the member that had this address has gone; another one answers there"));
    reply(*header, body.bytes());
  } else if (handler_) {
    handler_(*header);
  }
}

Task<Status> Channel::send(std::span<const std::byte> address, std::vector<std::byte> message,
                           Deadline deadline) {
  if (closing_) co_return closed_status();
  auto peer = endpoint_->connect(address);
  if (!peer) co_return tl::unexpected(peer.error());
  ++messages_sent_;
  ++sends_in_flight_;
  Send sending(*endpoint_, *peer, message, deadline);
  Status sent = co_await sending;
  --sends_in_flight_;
  co_return sent;
}

Task<Result<std::vector<std::byte>>> Channel::call(Receiver receiver, MessageType type,
                                                   std::vector<std::byte> body, Deadline deadline,
                                                   Cancellation* cancellation, std::shared_ptr<void> place) {
  // What would be asked for now, nobody would take back.
  if (cancellation != nullptr && cancellation->requested())
    co_return fail(Code::timed_out, "Channel::call", "called off");
  MessageHeader header = header_to(receiver, type, body);
  header.request = next_request_++;
  if (!closing_) header.reply_to = endpoint_->address();
  PendingCall pending(*this, receiver, header, cancellation);
  Status sent = co_await send(receiver.address, encode(header), deadline);
  place.reset();
  if (!sent) co_return tl::unexpected(std::move(sent).error());

  const TimePoint started = clock_.now();
  while (!pending.reply) {
    if (closing_) co_return tl::unexpected(closed_status().error());
    if (pending.is_called_off()) co_return fail(Code::timed_out, "Channel::call", "called off");
    if (deadline.passed(clock_) && !HOLDFAST_MUTATION(ignore_deadline)) {
      if (type == MessageType::await_name || type == MessageType::await_object ||
          type == MessageType::restore)
        give_up(receiver, header);
      co_return fail(Code::timed_out, "Channel::call", "no answer came before the deadline");
    }
    pending.event.wait_until(std::min(HOLDFAST_MUTATION(ignore_deadline) ? TimePoint::max() : deadline.time(),
                                      clock_.now() + kProbeInterval));
    co_await pending.event;
    if (pending.reply || closing_ || pending.is_called_off() || deadline.passed(clock_)) continue;
    Probe& looked = probes_[receiver.incarnation];
    if (const TimePoint now = clock_.now(); now - looked.at >= kProbeInterval) {
      looked.at = now;
      const Status alive = co_await probe(receiver, deadline);
      if (!alive && alive.error().code == Code::owner_lost) looked.lost = clock_.now();
    }
    if (looked.replaced || (looked.lost && *looked.lost >= started))
      co_return fail(Code::owner_lost, "Channel::call", "its process has ended");
  }
  WireReader in(*pending.reply);
  Status status = get_status(in);
  // Only another life answers so.
  if (!status && status.error().code == Code::owner_lost) probes_[receiver.incarnation].replaced = true;
  if (!status) co_return tl::unexpected(std::move(status).error());
  co_return std::vector<std::byte>(pending.reply->begin() + kGoodStatusBytes, pending.reply->end());
}

/// Tells who keeps an await that nobody waits for it any more. Lost, it costs him a bounded place.
void Channel::give_up(Receiver receiver, MessageHeader awaiting) {
  WireWriter body;
  WireReader in(awaiting.body);
  put_key(body, get_key(in));
  body.put(awaiting.request);
  awaiting.type = MessageType::give_up;
  awaiting.body = body.bytes();
  spawn(send_reply({receiver.address.begin(), receiver.address.end()}, encode(awaiting)),
        [](const Status&) {});
}

Task<Status> Channel::send_reply(std::vector<std::byte> address, std::vector<std::byte> message) {
  Status sent = co_await send(address, std::move(message), Deadline::after(clock_, kReplyTimeout));
  co_return sent;
}

MessageHeader Channel::header_to(Receiver receiver, MessageType type, std::span<const std::byte> body) const {
  MessageHeader header;
  header.type = type;
  header.from = sender_.rank;
  header.from_incarnation = sender_.incarnation;
  header.to_incarnation = receiver.incarnation;
  header.body = body;
  return header;
}

Task<Status> Channel::probe(Receiver receiver, Deadline deadline, std::vector<std::byte> body) {
  Probe& probe = probes_[receiver.incarnation];
  if (probe.replaced)
    co_return fail(Code::owner_lost, "Channel::probe", "another process has its address by now");
  MessageHeader header = header_to(receiver, MessageType::ping, body);
  header.request = probe.request = next_request_++;
  if (!closing_) header.reply_to = endpoint_->address();
  Status alive = co_await send(receiver.address, encode(header), deadline);
  co_return alive;
}

Task<void> Channel::sleep(TimePoint when) {
  Event event(*this);
  event.wait_until(when);
  co_await event;
}

Task<void> Channel::listen(Bell& bell, Deadline until) {
  Event event(*this);
  bell.event_ = &event;
  listened_to_.push_back(&bell);
  event.wait_until(until.time());
  while (!bell.has_rung() && !closing_ && !until.passed(clock_)) co_await event;
  std::erase(listened_to_, &bell);
}

/// A reply that no call waits for: its caller gave up, or it is the answer to a ping. Another life than the
/// one that was meant refuses those.
void Channel::answered_no_call(const MessageHeader& reply, std::size_t bytes) {
  const auto asked = probes_.find(reply.from_incarnation);
  if (asked != probes_.end() && asked->second.request == reply.request) reference_bytes_received_ += bytes;
  WireReader in(reply.body);
  const Status status = get_status(in);
  if (status || status.error().code != Code::owner_lost) return;
  for (auto& [incarnation, probe] : probes_)
    if (probe.request == reply.request) probe.replaced = true;
}

void Channel::tell(Receiver receiver, MessageType type, std::vector<std::byte> body) {
  spawn(deliver(receiver, type, std::move(body)), [](const Status&) {});
}

Task<Status> Channel::deliver(Receiver receiver, MessageType type, std::vector<std::byte> body) {
  return send_reply({receiver.address.begin(), receiver.address.end()},
                    encode(header_to(receiver, type, body)));
}

void Channel::reply(const MessageHeader& request, std::span<const std::byte> body) {
  reply(request.reply_to, request.request, body);
}

void Channel::reply(std::span<const std::byte> address, std::uint64_t request,
                    std::span<const std::byte> body) {
  if (address.empty()) return;
  spawn(send_until_taken({address.begin(), address.end()}, reply_message(request, body)),
        [](const Status&) {});
}

/// Who asked would wait in vain for what the network refused because too much waits already.
Task<Status> Channel::send_until_taken(std::vector<std::byte> address, std::vector<std::byte> message) {
  const Deadline until = Deadline::after(clock_, kReplyTimeout);
  for (;;) {
    Status sent = co_await send(address, message, until);
    if (sent || sent.error().code != Code::full || until.passed(clock_)) co_return sent;
    co_await sleep(clock_.now() + kReplyAgain);
  }
}

Task<Status> Channel::deliver_reply(std::vector<std::byte> address, std::uint64_t request,
                                    std::span<const std::byte> body) {
  if (address.empty()) co_return Status{};
  Status sent = co_await send_reply(std::move(address), reply_message(request, body));
  co_return sent;
}

std::vector<std::byte> Channel::reply_message(std::uint64_t request, std::span<const std::byte> body) const {
  MessageHeader header;
  header.type = MessageType::reply;
  header.from = sender_.rank;
  header.from_incarnation = sender_.incarnation;
  header.request = request;
  header.body = body;
  return encode(header);
}

}  // namespace holdfast
