// Neighbours whose memory is being mapped: one attempt for all who want it, in whatever threads, of whom none
// waits longer than it wants to. An attempt at one that is stopped goes on, and ends when that one does.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "src/channel.h"
#include "src/neighbours.h"

namespace holdfast {

struct Job;

class Attachments {
 public:
  /// Has a neighbour's arena mapped and waits for it, until the deadline: then Job::knows_view. Errors:
  /// timed_out (naming it), owner_lost (its process has ended). On any channel of the job's, in any thread.
  Task<Status> attach(Job& job, Channel& channel, MemberId member, Deadline deadline);

 private:
  struct Attempt {
    std::vector<Channel::Bell*> waiting;
    std::optional<Status> outcome;
  };
  std::shared_ptr<Attempt> join(Job& job, MemberId member);
  void ended(Attempt& attempt, MemberId member, Status outcome);

  std::mutex mutex_;  ///< of the attempts, too
  std::map<MemberId, std::shared_ptr<Attempt>> under_way_;
};

}  // namespace holdfast
