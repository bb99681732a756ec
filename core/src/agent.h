// Serves other members on the serving endpoint: answers control messages, tells waiters, and says what a
// member says of its own accord. The logic only: a thread runs it (agent_thread.h), or a simulator.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"
#include "src/channel.h"
#include "src/holdings.h"
#include "src/job.h"
#include "src/lanes.h"
#include "src/reporter.h"
#include "src/withdrawals.h"

namespace holdfast {

class Agent {
 public:
  /// `channel` is on the endpoint whose address stands in this member's card; `regions` are what has been
  /// exposed on it. `job` outlives the agent.
  Agent(Job& job, std::unique_ptr<Channel> channel, std::vector<RegionKey> regions);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // --- by whoever runs it, one thread at a time

  Channel& channel() noexcept { return *channel_; }
  /// Exposes the memory that is not yet: where that takes time, the others wait for the keys, not
  /// Store::open.
  void expose_rest();
  /// Does what is due. When to be called again; earlier, when the channel has moved. To be followed by
  /// driving the channel, which answers what has come.
  Deadline step();
  /// Tells the others that this member leaves. Its answers and this are under way until
  /// channel().sends_in_flight() is 0.
  void say_farewell() { reporter_.say_farewell(); }

  // --- by any thread

  /// Tells waiters.
  void tell(Notice notice);
  /// Whose abandoned operations to move, until it is told of others or none: when this returns, the former
  /// ones are not touched any more.
  void help(Lanes* lanes);
  /// There are such operations.
  void drive_lanes();
  /// A name's home did not answer whether it entered it for an object, which is gone: it is told until it has
  /// heard.
  void withdraw(const Key& name, const ObjectId& id) { withdrawals_.add_name(name, id); }
  /// An object's name was erased, and its owner could not be reached: it is told to erase the object, too.
  void withdraw(MemberId owner, const ObjectId& id) { withdrawals_.add_object(owner, id); }
  /// Has erased blocks freed when their pins go.
  void collect_later() { wake(); }
  /// Has step() called soon.
  void wake() { channel_->wake(); }

  const Withdrawals& withdrawals() const noexcept { return withdrawals_; }
  std::uint64_t requests_served() const noexcept { return served_.load(std::memory_order_relaxed); }
  std::uint64_t messages_sent() const noexcept { return sent_.load(std::memory_order_relaxed); }
  std::uint64_t messages_received() const noexcept { return received_.load(std::memory_order_relaxed); }

 private:
  bool is_of_a_member(const MessageHeader& message) const;
  void handle(const MessageHeader& message);
  void publish(const MessageHeader& message);
  void unpublish(const MessageHeader& message);
  void look(const MessageHeader& message);
  void await(const MessageHeader& message);
  void erase(const MessageHeader& message);
  void keys(const MessageHeader& message);
  void arrive(const MessageHeader& message);
  void prefetch(const MessageHeader& message);
  void parts(const MessageHeader& message);
  void used(const MessageHeader& message);
  void why(const MessageHeader& message);
  void hold(const MessageHeader& message);
  void ping(const MessageHeader& message);
  void report(const MessageHeader& message);
  void refuse(const MessageHeader& message, const Error& error);
  void send_notice(const Notice& notice);
  void tell_some();
  bool move_abandoned();
  Status expose_segment(std::size_t segment);

  Job& job_;
  std::unique_ptr<Channel> channel_;
  Withdrawals withdrawals_;
  Reporter reporter_;
  std::vector<RegionKey> regions_;

  /// Who has arrived at each barrier, by rank; rank 0 only.
  std::map<std::uint64_t, std::map<std::uint32_t, Waiter>> barriers_;
  std::uint64_t barriers_passed_ = 0;

  std::mutex lanes_mutex_;
  Lanes* lanes_ = nullptr;
  std::atomic<bool> lanes_abandoned_{false};

  std::mutex inbox_mutex_;
  std::vector<Notice> inbox_;
  std::vector<Notice> notices_;  ///< taken from the inbox
  struct Untold {
    Waiter waiter;
    std::shared_ptr<const std::vector<std::byte>> body;
  };
  std::deque<Untold> untold_;         ///< waiters, in the order in which they are told
  std::optional<TimePoint> tell_at_;  ///< when the network refused some: not before
  std::atomic<std::uint64_t> served_{0};
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<std::uint64_t> received_{0};
};

}  // namespace holdfast
