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

/// How long a member of which its owners had a word is sure that it was not given up: it may have been slow
/// to see that they looked.
constexpr Duration sure_to_be_held(const LifetimeOptions& options) {
  constexpr Duration kAtLeast = std::chrono::seconds(1);  // what it takes that enough probes fail
  return std::max(options.member_timeout, kAtLeast) / 2;
}

/// How long a member may say nothing at all though probes reach it, or seem to: a host that is gone takes
/// them for a long time by some networks. One that is only busy, or short of a core, must not be given up.
constexpr Duration longest_silence(const LifetimeOptions& options) {
  constexpr Duration kAtLeast = std::chrono::seconds(5);
  return std::max(options.member_timeout, kAtLeast);
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
    if (!unheard_.empty()) unheard_.erase(member);
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
  void probe(MemberId member);
  void probed(MemberId member, const Status& alive);
  void give_up(MemberId member, Holdings::Waiters waiters);

  Job& job_;
  Channel& channel_;
  Withdrawals& withdrawals_;
  std::atomic<bool> something_{false};  ///< to report; set by any thread
  std::optional<TimePoint> report_at_;
  std::optional<TimePoint> probe_at_;
  std::optional<TimePoint> expiry_at_;
  std::atomic<bool> got_some_{false};  ///< hints; set by any thread
  std::optional<TimePoint> hints_at_;
  std::set<MemberId> probing_;  ///< whose probe has not left
  struct Unheard {
    TimePoint probed_at;
    Duration silent{};                ///< counted only while probes went out: who does not look hears nothing
    std::optional<TimePoint> failed;  ///< since when probes fail
    unsigned failures = 0;            ///< one after the other
  };
  std::map<MemberId, Unheard> unheard_;  ///< probed, without a word since
  MemberId last_concerned_;
};

}  // namespace holdfast
