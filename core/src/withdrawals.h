// What others may still keep although nobody wants it: names that their homes may have entered for objects
// that are gone, by puts that ended without an answer, and objects whose names were erased while their owners
// could not be reached. They are told until they have heard it, so that nobody finds such a name or is
// refused it, and no object stays that nobody can name.
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
  /// What may wait for one member of what puts and erases add, call by call, without end; more is left. Names
  /// that a home is given up with are all told: there are no more of them than objects.
  static constexpr std::size_t kMostOfMember = 1U << 16;
  enum class Bound : std::uint8_t { some, all };

  /// Both outlive it; what it has under way ends with the channel.
  Withdrawals(Job& job, Channel& channel) noexcept : job_(job), channel_(channel) {}

  /// A name goes if it stands for `id`. Any thread.
  void add_name(const Key& name, const ObjectId& id, Bound bound = Bound::some);
  /// An object goes. Any thread.
  void add_object(MemberId owner, const ObjectId& id);

  /// Starts what was added. By whoever drives the channel, after it was woken.
  void turn();

  /// What a member was not told yet. By whoever drives the channel.
  std::size_t untold(MemberId member) const {
    const auto known = untold_.find(member);
    return known == untold_.end() ? 0 : known->second.size();
  }

 private:
  struct Request {
    MemberId to;
    MessageType type;
    std::vector<std::byte> body;
    Bound bound = Bound::some;
  };
  void add(Request request);
  Task<void> tell(MemberId member);

  Job& job_;
  Channel& channel_;
  std::atomic<bool> some_{false};  ///< have been added
  std::mutex added_mutex_;
  std::vector<Request> added_;
  std::map<MemberId, std::deque<Request>> untold_;  ///< each member that is here is being told
};

}  // namespace holdfast
