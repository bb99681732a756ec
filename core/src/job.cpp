#include "src/job.h"

#include <fmt/format.h>

#include "holdfast/base/log.h"

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

Result<View*> Job::view_of(MemberId member, Deadline deadline) {
  View* view = memory->view(member);
  if (view == nullptr) {
    if (options.same_host == SameHost::fabric || !peers->shares_host(member) ||
        unmappable[member.value].load(std::memory_order_relaxed))
      return nullptr;
    auto attached = neighbours->attach(member, peers->card(member), deadline);
    if (!attached) {
      if (attached.error().code == Code::owner_lost) return owner_lost(member, "Store::get");
      if (attached.error().code == Code::timed_out) return tl::unexpected(std::move(attached).error());
      // Never silent: a slower way is taken, and said once.
      if (!unmappable[member.value].exchange(true))
        log(LogLevel::warning, fmt::format("the memory of {} on this host is read by fabric: {}",
                                           peers->describe(member), attached.error().message()));
      return nullptr;
    }
    View* const fresh = attached->get();
    view = memory->add_view(std::move(*attached));
    if (view == fresh) neighbours->watch(view);
  }
  if (view->lost.load(std::memory_order_acquire)) return owner_lost(member, "Store::get");
  return view;
}

tl::unexpected<Error> Job::owner_lost(MemberId member, std::string_view operation) const {
  return fail(Code::owner_lost, operation,
              fmt::format("{} has closed its store or ended; its objects are gone", peers->describe(member)));
}

}  // namespace holdfast
