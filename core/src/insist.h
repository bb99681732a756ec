// A request that matters more to whom it goes to than to who sends it: told again until it has been heard.
#pragma once

#include <cstddef>
#include <vector>

#include "holdfast/base/task.h"
#include "src/channel.h"
#include "src/job.h"

namespace holdfast {

/// For a quarter of an hour at least, whether a member is silent or cannot be reached.
inline constexpr unsigned kMostTries = 42;

/// Sends the request until it is answered, with growing pauses: a connection may break while both ends live.
/// heard: also where the answer is that there is nothing of the kind. lost: another life has answered in its
/// place, which is proof of its end, or there were no more `tries`. unheard: the channel closes.
Task<References::Outcome> insist(Job& job, Channel& channel, MemberId member, MessageType type,
                                 std::vector<std::byte> body, unsigned tries = kMostTries);

}  // namespace holdfast
