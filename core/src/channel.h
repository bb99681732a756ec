// An endpoint with what protocols need on top: awaitable reads and sends, requests with replies, and timers.
// Single-threaded: whoever drives it runs the protocols that wait on it. The same code runs on the real
// fabric and on a simulated one.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/fabric/fabric.h"
#include "src/cancellation.h"
#include "src/message.h"

namespace holdfast {

/// Who sends.
struct Sender {
  std::uint32_t rank = 0;
  std::uint64_t incarnation = 0;
};

/// Whom a request goes to.
struct Receiver {
  std::span<const std::byte> address;
  std::uint64_t incarnation = 0;
};

class Channel {
 public:
  Channel(std::unique_ptr<fabric::Endpoint> endpoint, const Clock& clock, Sender sender);
  ~Channel();  ///< everything that waits ends first, with timed_out
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Who gets messages that are not replies. Set before the first drive().
  void set_handler(std::function<void(const MessageHeader&)> handler) { handler_ = std::move(handler); }

  /// Who is told of each reply, whether a call waits for it or not. Set before the first drive().
  void set_reply_watcher(std::function<void(const MessageHeader&)> watcher) {
    reply_watcher_ = std::move(watcher);
  }

  /// Runs what can run; blocks until something ended, a timer is due, wake() is called, or `until`.
  std::size_t drive(Deadline until, Duration spin);
  void wake() noexcept { endpoint_->wake(); }
  /// When drive() has something to do even if nothing comes.
  Deadline next_timer() const noexcept {
    return timers_.empty() ? Deadline::never() : Deadline::at(timers_.begin()->first);
  }

  /// Being destroyed: what has ended must not start anything more on the endpoint.
  bool closing() const noexcept { return closing_; }
  Status closed_status() const;

  const Clock& clock() const noexcept { return clock_; }
  fabric::Endpoint& endpoint() noexcept { return *endpoint_; }

  /// As Endpoint::connect; timed_out while the channel closes: what ends then may go on with another step.
  Result<fabric::PeerId> connect(std::span<const std::byte> address) {
    if (closing_) return tl::unexpected(closed_status().error());
    return endpoint_->connect(address);
  }

  /// co_await it: the Status of one read.
  class Read;
  Read read(const fabric::ReadRequest& request);

  /// One message, not awaited beyond the network taking it.
  Task<Status> send(std::span<const std::byte> address, std::vector<std::byte> message, Deadline deadline);

  /// A request and its reply's body after the status. While the reply is not there the peer's endpoint is
  /// probed, so that a process that died is noticed whatever the deadline. Only an await can be called off:
  /// who keeps it is told. One that was called off before is not sent. `place` is let go of when the request
  /// has left.
  /// Errors: owner_lost, timed_out (also when called off), and what the reply says.
  Task<Result<std::vector<std::byte>>> call(Receiver receiver, MessageType type, std::vector<std::byte> body,
                                            Deadline deadline, Cancellation* cancellation = nullptr,
                                            std::shared_ptr<void> place = nullptr);

  /// Whether the peer's process can be reached: owner_lost if not. That another life of it is there is known
  /// from the second time on. `body`: of the ping.
  Task<Status> probe(Receiver receiver, Deadline deadline, std::vector<std::byte> body = {});

  /// True if another life of the peer has answered in its place: then this one is over for certain.
  bool is_replaced(const Receiver& receiver) const {
    const auto known = probes_.find(receiver.incarnation);
    return known != probes_.end() && known->second.replaced;
  }

  /// Returns at `when`, or when the channel closes.
  Task<void> sleep(TimePoint when);

  /// How another thread tells a protocol on this channel that something has come.
  class Bell;
  /// Returns when it has rung, `until` has come, or the channel closes.
  Task<void> listen(Bell& bell, Deadline until);

  /// A message that wants no answer. Starts at once; a peer that has gone is passed over.
  void tell(Receiver receiver, MessageType type, std::vector<std::byte> body);
  /// The same; ends when it has been sent, or could not be.
  Task<Status> deliver(Receiver receiver, MessageType type, std::vector<std::byte> body);

  /// A reply to a request that came to the handler. Starts at once, and again while the network is full; a
  /// peer that has gone is passed over.
  void reply(const MessageHeader& request, std::span<const std::byte> body);
  void reply(std::span<const std::byte> address, std::uint64_t request, std::span<const std::byte> body);
  /// One try; ends when it has been sent, or could not be. Errors: those of a send; full: later, perhaps.
  Task<Status> deliver_reply(std::vector<std::byte> address, std::uint64_t request,
                             std::span<const std::byte> body);

  /// Requests that wait for their replies.
  std::size_t calls() const noexcept { return calls_.size(); }
  std::uint64_t sends_in_flight() const noexcept { return sends_in_flight_; }
  std::uint64_t messages_sent() const noexcept { return messages_sent_; }
  std::uint64_t messages_received() const noexcept { return messages_received_; }
  /// Of received messages that are about references, and answers to such: bytes.
  std::uint64_t reference_bytes_received() const noexcept { return reference_bytes_received_; }

 private:
  class Event;
  friend class Event;
  void receive(std::span<const std::byte> bytes);
  void fire_timers();
  void answer_bells();
  void answered_no_call(const MessageHeader& reply, std::size_t bytes);
  void give_up(Receiver receiver, MessageHeader awaiting);
  MessageHeader header_to(Receiver receiver, MessageType type, std::span<const std::byte> body) const;
  Task<Status> send_reply(std::vector<std::byte> address, std::vector<std::byte> message);
  Task<Status> send_until_taken(std::vector<std::byte> address, std::vector<std::byte> message);
  std::vector<std::byte> reply_message(std::uint64_t request, std::span<const std::byte> body) const;

  std::unique_ptr<fabric::Endpoint> endpoint_;
  const Clock& clock_;
  Sender sender_;
  std::function<void(const MessageHeader&)> handler_, reply_watcher_;
  std::multimap<TimePoint, Event*> timers_;
  std::atomic<bool> some_rang_{false};
  std::vector<Bell*> listened_to_;
  class PendingCall;
  std::unordered_map<std::uint64_t, PendingCall*> calls_;
  /// From a number of this life's own: an answer to another one that had this address finds no call here.
  std::uint64_t next_request_;
  /// The last look whether a peer that owes replies is there: one for all calls that wait for it.
  struct Probe {
    TimePoint at{};
    std::optional<TimePoint> lost;  ///< when it last was not there
    std::uint64_t request = 0;      ///< of the last ping: another life refuses it
    bool replaced = false;          ///< another life answers at its address: this one is over
  };
  std::unordered_map<std::uint64_t, Probe> probes_;  ///< by incarnation
  std::uint64_t sends_in_flight_ = 0;
  std::uint64_t messages_sent_ = 0;
  std::uint64_t messages_received_ = 0;
  std::uint64_t reference_bytes_received_ = 0;
  bool closing_ = false;
};

/// In the frame of the protocol that listens to it.
class Channel::Bell {
 public:
  explicit Bell(Channel& channel) noexcept : channel_(channel) {}
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  /// Any thread that knows that this is still there.
  void ring() noexcept {
    rung_.store(true, std::memory_order_release);
    channel_.some_rang_.store(true, std::memory_order_release);
    channel_.wake();
  }
  bool has_rung() const noexcept { return rung_.load(std::memory_order_acquire); }

 private:
  friend class Channel;
  Channel& channel_;
  std::atomic<bool> rung_{false};
  Event* event_ = nullptr;
};

/// Awaits one read. The frame that holds it stays until the fabric has ended it.
class Channel::Read final : private fabric::Completion {
 public:
  Read(Channel& channel, const fabric::ReadRequest& request) noexcept
      : channel_(channel), request_(request) {}
  Read(const Read&) = delete;
  Read& operator=(const Read&) = delete;

  bool await_ready() noexcept { return channel_.closing_; }
  void await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    channel_.endpoint_->read(request_, *this);
  }
  Status await_resume() { return channel_.closing_ ? channel_.closed_status() : std::move(status_); }

 private:
  void complete(Status status) override {
    status_ = std::move(status);
    waiting_.resume();
  }
  Channel& channel_;
  fabric::ReadRequest request_;
  std::coroutine_handle<> waiting_;
  Status status_;
};

inline Channel::Read Channel::read(const fabric::ReadRequest& request) { return Read(*this, request); }

}  // namespace holdfast
