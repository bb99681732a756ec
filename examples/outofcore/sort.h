// A sample sort of more records than the arenas of all ranks hold together: what does not fit goes to disk
// and comes back by itself. Nothing here says when.
//
// Records lie in blocks. Each rank cuts its blocks into pieces, one a bucket; a bucket is a range of keys,
// small enough to be sorted in memory, and belongs to one rank, which gets the pieces of all ranks and sorts
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "holdfast/holdfast.h"

namespace outofcore {

using Record = std::uint64_t;

/// The same for all ranks, whose arenas have the same size.
struct Plan {
  std::uint64_t block_records = 0;
  std::uint64_t blocks = 0;      ///< of each rank
  std::uint32_t buckets = 0;     ///< of each rank
  holdfast::Duration timeout{};  ///< of each call
  std::function<void(std::uint64_t bytes)> progress;

  std::uint64_t block_bytes() const { return block_records * sizeof(Record); }
  std::uint64_t bytes() const { return blocks * block_bytes(); }  ///< of each rank
};

/// How many records, and which, whatever their order.
struct Tally {
  std::uint64_t records = 0;
  std::uint64_t fingerprint = 0;  ///< the sum of their hashes

  void add(std::span<const Record> some);
  friend bool operator==(const Tally&, const Tally&) = default;
};

/// Puts this rank's random records, block by block, and counts them.
holdfast::Result<std::vector<holdfast::ObjectRef>> make_input(holdfast::Store& store, const Plan& plan,
                                                              Tally& tally);

/// Where each bucket but the first begins, the same at all ranks: all of them put a sample of their records.
holdfast::Result<std::vector<Record>> agree_on_bounds(holdfast::Store& store, const Plan& plan,
                                                      std::span<const holdfast::ObjectRef> input);

/// Cuts the blocks, and drops each when it has been cut. The pieces of a bucket are the parts of one object,
/// under a name that the bucket's rank knows: that keeps them.
holdfast::Status distribute(holdfast::Store& store, const Plan& plan, std::span<const Record> bounds,
                            std::vector<holdfast::ObjectRef> input);

/// Gets the pieces of this rank's buckets, sorts them, and drops them; one object a bucket.
holdfast::Result<std::vector<holdfast::ObjectRef>> sort_buckets(holdfast::Store& store, const Plan& plan);

/// What is found in the sorted buckets of one rank.
struct Found {
  Tally tally;
  bool in_order = true;
  Record first = 0, last = 0;  ///< where there are records
};
holdfast::Result<Found> look_at(holdfast::Store& store, const Plan& plan,
                                std::span<const holdfast::ObjectRef> sorted);

}  // namespace outofcore
