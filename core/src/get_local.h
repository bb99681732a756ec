// Gets from memory that is mapped here: this member's own, or a neighbour's. No message, no system call, no
// copy.
#pragma once

#include <optional>
#include <span>

#include "holdfast/base/result.h"
#include "holdfast/pin.h"
#include "src/cancellation.h"
#include "src/catalogue.h"
#include "src/job.h"
#include "src/view.h"

namespace holdfast {

/// Which part of an object is wanted, and how.
struct Want {
  std::optional<ByteRange> range;        ///< nothing: all of it
  Verify verify = Verify::always;        ///< when the payload is compared with its checksums
  Waiting waiting;                       ///< for an object that is not sealed yet
  Duration patience = kLongestPatience;  ///< with a neighbour's catalogue

  bool check_in_place() const noexcept { return verify == Verify::always; }
  bool check_read() const noexcept { return verify != Verify::never; }
};

/// Fills `pin`, an empty one; false where the object is not in the catalogue (any more, or not yet), or on
/// disk. The object is looked for where the entry remembers it; only if it is not there, in the catalogue.
/// Errors: corrupt, full (no free slot in the ledger), invalid (range), timed_out (want.patience).
Result<bool> get_local(Job& job, const View& view, const Entry& remembered, const Want& want, Pin& pin);

/// Errors: invalid (the range ends beyond the object).
Status check_range(const std::optional<ByteRange>& range, std::uint64_t size);

}  // namespace holdfast
