// What a member says of its own accord: to owners, what it holds no more and the tokens it has made; to those
// who hold objects of its own, keep their names or wait here, whether they are still there. On one channel,
// and driven by whoever drives that.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <set>

#include "holdfast/base/clock.h"
#include "src/channel.h"
#include "src/job.h"

namespace holdfast {

class Reporter {
 public:
  /// Both outlive it.
  Reporter(Job& job, Channel& channel);
  ~Reporter();

  /// Starts what is due. When to call again; earlier, if the channel is woken.
  Deadline turn();

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
