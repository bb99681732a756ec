// Names that their homes may have entered for objects that are gone: puts that ended without an answer. The
// homes are told until they have heard it, so that nobody finds the name and nobody is refused it.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "holdfast/base/task.h"
#include "src/channel.h"
#include "src/job.h"

namespace holdfast {

class Withdrawals {
 public:
  /// Names that wait for one home; it is dead rather than silent when more come, and they are left.
  static constexpr std::size_t kMostOfHome = 1U << 16;

  /// Both outlive it; what it has under way ends with the channel.
  Withdrawals(Job& job, Channel& channel) noexcept : job_(job), channel_(channel) {}

  /// A name goes if it stands for `id`. Any thread.
  void add(const Key& name, const ObjectId& id);

  /// Starts what was added. By whoever drives the channel, after it was woken.
  void turn();

 private:
  struct Name {
    Key key;
    ObjectId id;
  };
  Task<void> tell(MemberId home);

  Job& job_;
  Channel& channel_;
  std::atomic<bool> some_{false};  ///< have been added
  std::mutex added_mutex_;
  std::vector<Name> added_;
  std::map<MemberId, std::deque<Name>> untold_;  ///< by home; each that is here is being told
};

}  // namespace holdfast
