// Waiting for many objects to be sealed, wherever they are: a coroutine on a channel.
#pragma once

#include <cstddef>
#include <vector>

#include "holdfast/base/task.h"
#include "holdfast/store.h"
#include "src/channel.h"
#include "src/job.h"

namespace holdfast {

/// What is not sealed yet is waited for, or looked up once and pending.
enum class LateOnes : std::uint8_t { waited_for, pending };

/// Ends when `count` of the entries are ready, all have been decided, or the deadline has come. What cannot
/// be sealed any more counts as ready, where late ones are waited for. Some hundreds at a time are looked up
/// and asked for with each owner; reads that are under way go on after this has ended. Errors: those of a
/// look at a catalogue, where too few are ready without those that failed.
Task<Result<WaitResult>> wait_many(Job& job, Channel& channel, std::vector<Entry> entries, std::size_t count,
                                   LateOnes late, Deadline deadline);

}  // namespace holdfast
