// What every protocol of this member works with. Made once at open, destroyed after everything that uses it.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/random.h"
#include "holdfast/fabric/fabric.h"
#include "holdfast/options.h"
#include "src/access_log.h"
#include "src/attachments.h"
#include "src/counters.h"
#include "src/holdings.h"
#include "src/local_memory.h"
#include "src/neighbours.h"
#include "src/peers.h"
#include "src/references.h"

namespace holdfast {

struct Job {
  const Clock& clock;
  RandomSource& random;
  std::string name;
  StoreOptions options;
  fabric::FabricInfo fabric_info;
  std::unique_ptr<Peers> peers;
  std::shared_ptr<LocalMemory> memory;
  Attachments attachments;  ///< told by the neighbours, which go first
  std::unique_ptr<Neighbours> neighbours;
  std::shared_ptr<References> references;
  std::unique_ptr<Holdings> holdings;
  Counters counters;
  AccessLog accesses;
  SharedHistogram remote_gets;
  std::vector<std::atomic<bool>> unmappable;  ///< neighbours whose memory could not be mapped: read by fabric

  /// Gives the member's arena where it is mapped here, nullptr where it is read by fabric, owner_lost where
  /// it was mapped and its process has ended; false where it has to be mapped first (ViewOf does). Any
  /// thread.
  bool knows_view(MemberId member, Result<View*>& view) const;

  /// Completes what `memory`, `neighbours` and `references` began, once all members' cards are there.
  /// `catalogue` is what Holdings::allocate_catalogue gave. Errors: as Holdings::create.
  Status join(MemberId self, std::shared_ptr<const std::vector<Card>> cards, const Block& catalogue);

  tl::unexpected<Error> owner_lost(MemberId member, std::string_view operation) const;
};

}  // namespace holdfast
