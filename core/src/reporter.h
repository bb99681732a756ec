// What a member says of its own accord: to owners, what it holds no more and the tokens it has made; to those
// who hold objects of its own, keep their names or wait here, whether they are still there. On one channel,
// and driven by whoever drives that.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "holdfast/base/clock.h"
#include "src/channel.h"
#include "src/job.h"
#include "src/withdrawals.h"

namespace holdfast {

/// How long a member that was looked for is sure that it was not given up: it may have been slow to see it.
constexpr Duration sure_to_be_held(const LifetimeOptions& options) {
  constexpr Duration kAtLeast = std::chrono::seconds(1);  // what it takes that enough probes fail
  return std::max(options.member_timeout, kAtLeast) / 2;
}

class Reporter {
 public:
  /// All outlive it.
  Reporter(Job& job, Channel& channel, Withdrawals& withdrawals);
  ~Reporter();

  /// Starts what is due. When to call again; earlier, if the channel is woken.
  Deadline turn();

  /// It has said something, so it lives.
  void heard_from(MemberId member) {
    if (!unreached_.empty()) unreached_.erase(member);
  }

  /// Reports at the next turn: an owner is short of memory.
  void hurry() { report_at_ = job_.clock.now(); }

  /// Tells owners that this member leaves.
  void say_farewell();

 private:
  void send_reports();
  bool look_after_others();  ///< false if there is nobody to look after
  Task<References::Outcome> send_report(MemberId owner, std::vector<std::byte> body);
  void send_hints();
  void ask_for_drops();
  void probed(MemberId member, const Status& alive);

  Job& job_;
  Channel& channel_;
  Withdrawals& withdrawals_;
  std::atomic<bool> something_{false};  ///< to report; set by any thread
  std::optional<TimePoint> report_at_;
  std::optional<TimePoint> probe_at_;
  std::optional<TimePoint> expiry_at_;
  std::atomic<bool> got_some_{false};  ///< hints; set by any thread
  std::optional<TimePoint> hints_at_;
  std::set<MemberId> probing_;  ///< whose answer has not come
  struct Unreached {
    TimePoint since;
    unsigned probes = 0;  ///< that failed, one after the other
  };
  std::map<MemberId, Unreached> unreached_;
  MemberId last_concerned_;
};

}  // namespace holdfast
