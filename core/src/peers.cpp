#include "src/peers.h"

#include <algorithm>

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include "holdfast/base/random.h"

namespace holdfast {

namespace {

std::optional<RegionKey> region_at(std::span<const RegionKey> regions, std::uint64_t offset) {
  for (const RegionKey& region : regions)
    if (offset >= region.first && offset - region.first < region.memory.bytes) return region;
  return std::nullopt;
}

/// Rendezvous hashing: the member with the highest one is the name's home.
std::uint64_t weight_of(const Key& name, std::uint32_t rank) noexcept {
  return mix64(name.high ^ mix64(name.low + rank));
}

}  // namespace

Peers::Peers(MemberId self, std::shared_ptr<const std::vector<Card>> cards)
    : self_(self), cards_(std::move(cards)) {}

std::optional<RegionKey> Peers::region(MemberId member, std::uint64_t offset) const {
  if (const auto region = region_at(card(member).keys, offset)) return region;
  const std::lock_guard lock(mutex_);
  const auto learnt = learnt_.find(member.value);
  return learnt == learnt_.end() ? std::nullopt : region_at(learnt->second, offset);
}

void Peers::add_region(MemberId member, const RegionKey& region) {
  const std::lock_guard lock(mutex_);
  auto& known = learnt_[member.value];
  for (const RegionKey& other : known)
    if (other.first == region.first) return;
  known.push_back(region);
}

MemberId Peers::home_of(const Key& name) const noexcept {
  MemberId home;
  std::uint64_t best = 0;
  for (std::uint32_t rank = 0; rank < size(); ++rank) {
    const std::uint64_t weight = weight_of(name, rank);
    if (rank == 0 || weight > best) {
      best = weight;
      home.value = rank;
    }
  }
  return home;
}

bool Peers::is_home(MemberId member, const Key& name) const noexcept {
  const std::uint64_t weight = weight_of(name, member.value);
  for (std::uint32_t rank = 0; rank < size(); ++rank) {
    const std::uint64_t other = weight_of(name, rank);
    if (other > weight || (other == weight && rank < member.value)) return false;
  }
  return true;
}

std::optional<MemberId> Peers::of_incarnation(std::uint64_t incarnation) const noexcept {
  const auto found = std::ranges::find(*cards_, incarnation, &Card::incarnation);
  if (found == cards_->end()) return std::nullopt;
  return MemberId{static_cast<std::uint32_t>(found - cards_->begin())};
}

std::string Peers::describe(MemberId member) const {
  return fmt::format("rank {} on {} (pid {})", member.value, card(member).host_name, card(member).pid);
}

Result<Key> key_of(const Name& name) {
  if (name.text().empty()) return fail(Code::invalid, "Name", "a name must not be empty");
  if (name.text().size() > Name::kMaxBytes)
    return fail(Code::invalid, "Name",
                fmt::format("a name of {} bytes is too long; at most {} are allowed", name.text().size(),
                            Name::kMaxBytes));
  const XXH128_hash_t hash = XXH3_128bits(name.text().data(), name.text().size());
  return Key{hash.high64, hash.low64, Key::Kind::name};
}

}  // namespace holdfast
