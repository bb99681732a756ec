// The part that Holdfast does: everybody puts one partition of the counts for everybody else, and gets its
// own.
#pragma once

#include <cstdint>
#include <vector>

#include "counts.h"
#include "holdfast/holdfast.h"

namespace wordcount {

/// What one rank reports to rank 0.
struct Report {
  Tally tally;                 ///< of the words of its partition
  std::uint64_t distinct = 0;  ///< words in its partition
  std::uint64_t read_bytes = 0;
  std::uint64_t put_bytes = 0;
  std::uint64_t local_bytes = 0;   ///< fetched from its own memory,
  std::uint64_t shared_bytes = 0;  ///< from memory of other ranks on its host,
  std::uint64_t fabric_bytes = 0;  ///< and through the fabric
  double count_seconds = 0;
  double exchange_seconds = 0;  ///< putting, fetching and merging
};

/// Puts the words of `counted` as one partition a peer, under name("wordcount", from, to), and returns all
/// counts of this rank's own partition. `put` receives what has to be erased in the end.
holdfast::Result<Counts> exchange(holdfast::Store& store, const Counts& counted, holdfast::Duration timeout,
                                  std::vector<holdfast::ObjectRef>& put);

/// Puts this rank's report and its most frequent words; rank 0 also returns everybody's, the words in `most`.
holdfast::Result<std::vector<Report>> gather(holdfast::Store& store, const Report& mine,
                                             const Counts& my_most, holdfast::Duration timeout,
                                             std::vector<holdfast::ObjectRef>& put, Counts& most);

}  // namespace wordcount
