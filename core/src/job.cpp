#include "src/job.h"

#include <fmt/format.h>

namespace holdfast {

Status Job::join(MemberId self, std::shared_ptr<const std::vector<Card>> cards, const Block& catalogue) {
  const CatalogueGeometry geometry = (*cards)[self.value].catalogue;
  const std::uint64_t incarnation = (*cards)[self.value].incarnation;
  unmappable = std::vector<std::atomic<bool>>(cards->size());
  peers = std::make_unique<Peers>(self, std::move(cards));
  HOLDFAST_TRY(holdings, Holdings::create(
                             {clock, memory, *neighbours, *references, self, incarnation, options.lifetime},
                             geometry, catalogue));
  auto own = std::make_unique<View>();
  own->owner = self;
  own->incarnation = incarnation;
  for (const numa::Segment& segment : memory->arena().segments())
    own->pieces.push_back({segment.base, segment.first, segment.bytes});
  own->catalogue = CatalogueReader(reinterpret_cast<const CatalogueBucket*>(catalogue.address), geometry);
  memory->add_view(std::move(own));
  return {};
}

bool Job::knows_view(MemberId member, Result<View*>& view) const {
  View* const mapped = memory->view(member);
  if (mapped == nullptr) {
    view = nullptr;
    return options.same_host == SameHost::fabric || !peers->shares_host(member) ||
           unmappable[member.value].load(std::memory_order_relaxed);
  }
  if (mapped->lost.load(std::memory_order_acquire))
    view = owner_lost(member, "Store::get");
  else
    view = mapped;
  return true;
}

tl::unexpected<Error> Job::owner_lost(MemberId member, std::string_view operation) const {
  return fail(Code::owner_lost, operation,
              fmt::format("{} has closed its store or ended; its objects are gone", peers->describe(member)));
}

}  // namespace holdfast
