#include "sim/hosts.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {

HostNeighbours::HostNeighbours(Hosts& hosts, ProcessId process, std::uint64_t incarnation,
                               std::shared_ptr<LocalMemory> memory)
    : hosts_(hosts), process_(process), incarnation_(incarnation), memory_(std::move(memory)) {
  hosts_.memories_.push_back(memory_);
  on_this_host().emplace(incarnation_, this);
}

HostNeighbours::~HostNeighbours() {
  Hosts::Running& running = on_this_host();
  running.erase(incarnation_);
  for (const auto& [incarnation, other] : running) {
    other->readers_.erase(incarnation_);
    for (View* const view : other->watched_)
      if (view->incarnation == incarnation_ && !view->lost.exchange(true)) ++other->lost_;
    other->knock_again();
  }
}

void Hosts::gone_on(HostId host) {
  for (const auto& [incarnation, neighbours] : running_[host.value]) neighbours->knock_again();
}

void HostNeighbours::attach(MemberId rank, const Card& card, Attached attached) {
  const Hosts::Running& running = on_this_host();
  const auto found = running.find(card.incarnation);
  if (found == running.end())
    return attached(fail(Code::owner_lost, "Neighbours::attach", "the member's process has ended"));
  HostNeighbours& owner = *found->second;
  if (hosts_.network_.stopped(owner.process_))
    knocks_.push_back({rank, card, std::move(attached)});
  else
    attached(view_of(owner, rank, card));
}

void HostNeighbours::knock_again() {
  for (Knock& knock : std::exchange(knocks_, {})) attach(knock.rank, knock.card, std::move(knock.attached));
}

std::unique_ptr<View> HostNeighbours::view_of(HostNeighbours& owner, MemberId rank, const Card& card) {
  owner.readers_.emplace(incarnation_, &memory_->ledger());
  auto view = std::make_unique<View>();
  view->owner = rank;
  view->incarnation = card.incarnation;
  for (const numa::Segment& segment : owner.memory_->arena().segments())
    view->pieces.push_back({segment.base, segment.first, segment.bytes});
  view->catalogue = CatalogueReader(
      reinterpret_cast<const CatalogueBucket*>(view->at(card.catalogue_at, card.catalogue.bytes())),
      card.catalogue);
  return view;
}

bool HostNeighbours::pinned(const PinnedBlock& block) const {
  const auto announces = [&block](Ledger& ledger) {
    return ledger_pins(ledger.shared(), ledger.shared_bytes(), block);
  };
  return announces(memory_->ledger()) ||
         std::ranges::any_of(readers_, [&](const auto& reader) { return announces(*reader.second); });
}

std::vector<std::string> HostNeighbours::pinning(const PinnedBlock& block) const {
  return std::vector<std::string>(pinned(block) ? 1 : 0, "a process of the simulated host");
}

std::vector<std::uint64_t> HostNeighbours::pinned_locations(MemberId owner) const {
  std::vector<std::uint64_t> found;
  const auto add = [&](Ledger& ledger) {
    ledger_pins_of(ledger.shared(), ledger.shared_bytes(), owner, found);
  };
  add(memory_->ledger());
  for (const auto& [incarnation, ledger] : readers_) add(*ledger);
  std::ranges::sort(found);
  return found;
}

}  // namespace holdfast::sim
