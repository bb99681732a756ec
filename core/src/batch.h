// What one get_many asks of one owner.
#pragma once

#include <cstddef>
#include <vector>

#include "holdfast/base/task.h"
#include "holdfast/pin.h"
#include "src/channel.h"
#include "src/get_local.h"
#include "src/job.h"

namespace holdfast {

/// In the frame of get_batch, which its steps run in.
struct Batch {
  Job& job;
  Channel& channel;
  const MemberId owner;
  const std::vector<Entry> entries;
  const Want want;
  const Deadline deadline;
  std::vector<Result<Pin>> results;  ///< by entry

  /// Not got so far, and nothing speaks against it.
  bool is_open(std::size_t i) const { return !results[i] && results[i].error().code == Code::not_found; }
  void leave_open(std::size_t i) { results[i] = fail(Code::not_found, "Store::get_many", "not read yet"); }
};

/// Reads objects that lie side by side in the owner's arena with one read each time, several reads in flight.
/// What is not good where it is remembered, or is too large or too much aligned for that, stays open.
Task<void> take_runs(Batch& batch);

}  // namespace holdfast
