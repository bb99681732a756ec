// The thread that serves other members: it sleeps in the fabric's wait on the serving endpoint, so that their
// one-sided reads progress (over TCP somebody must drive the target), and answers control messages.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"
#include "src/channel.h"
#include "src/holdings.h"
#include "src/job.h"
#include "src/lanes.h"
#include "src/reporter.h"

namespace holdfast {

class Agent {
 public:
  /// `channel` is on the endpoint whose address stands in this member's card; `regions` are what has been
  /// exposed on it. What is not yet is exposed here, beside serving. Errors: system (no thread).
  static Result<std::unique_ptr<Agent>> start(Job& job, std::unique_ptr<Channel> channel,
                                              std::vector<RegionKey> regions);
  ~Agent();  ///< answers are handed to the network first, for a bounded time

  /// Tells waiters. Any thread.
  void tell(Notice notice);
  /// Whose abandoned operations to move, until it is told of others or none: when this returns, the former
  /// ones are not touched any more.
  void help(Lanes* lanes);
  /// There are such operations. Any thread.
  void drive_lanes();
  /// Has erased blocks freed when their pins go. Any thread.
  void collect_later();

  std::uint64_t requests_served() const noexcept { return served_.load(std::memory_order_relaxed); }
  std::uint64_t messages_sent() const noexcept { return sent_.load(std::memory_order_relaxed); }
  std::uint64_t messages_received() const noexcept { return received_.load(std::memory_order_relaxed); }

 private:
  Agent(Job& job, std::unique_ptr<Channel> channel, std::vector<RegionKey> regions);
  void serve();
  void handle(const MessageHeader& message);
  void publish(const MessageHeader& message);
  void unpublish(const MessageHeader& message);
  void await(const MessageHeader& message);
  void erase(const MessageHeader& message);
  void keys(const MessageHeader& message);
  void arrive(const MessageHeader& message);
  void prefetch(const MessageHeader& message);
  void hold(const MessageHeader& message);
  void report(const MessageHeader& message);
  void refuse(const MessageHeader& message, const Error& error);
  void send_notice(const Notice& notice);
  bool move_abandoned();
  Status expose_segment(std::size_t segment);

  Job& job_;
  std::unique_ptr<Channel> channel_;
  Reporter reporter_;
  std::vector<RegionKey> regions_;

  /// Who has arrived at each barrier, by rank; rank 0 only.
  std::map<std::uint64_t, std::map<std::uint32_t, Waiter>> barriers_;

  std::mutex lanes_mutex_;
  Lanes* lanes_ = nullptr;
  std::atomic<bool> lanes_abandoned_{false};

  std::mutex inbox_mutex_;
  std::vector<Notice> inbox_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> served_{0};
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<std::uint64_t> received_{0};
  std::thread thread_;
};

}  // namespace holdfast
