// What the benchmarks of remote gets share: the raw limits, and a job of two members that read each other
// through the fabric.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/measure.h"
#include "bench/peer.h"
#include "bench/raw_fabric.h"
#include "bench/raw_tcp.h"

namespace holdfast::bench {

struct Remote {
  std::unique_ptr<RawTcp> tcp;
  std::unique_ptr<RawFabric> raw;  ///< on the provider and domain that the store chooses
  std::unique_ptr<Pair> pair;      ///< opened last: the others fork
};

/// The largest object and the longest raw read.
inline constexpr std::uint64_t kMostRemoteBytes = 256ULL << 20;

/// Made when first called. Errors: as Pair::open and RawFabric::start.
Result<Remote*> remote();
void end_remote();

/// All combinations of chunk and depth, and one read of the whole: the best of them is the limit of a stream.
/// `raw` outlives them.
struct StreamChoices {
  std::size_t bytes = 0;
  std::vector<std::size_t> chunks;
  std::vector<int> depths;
  int rounds = 1;  ///< of RawFabric::Stream
};
std::vector<Round> raw_streams(RawFabric& raw, const StreamChoices& choices);

}  // namespace holdfast::bench
