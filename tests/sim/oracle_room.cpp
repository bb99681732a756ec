// Who has how much of its memory taken, so that nobody says `full` who has room.
#include <algorithm>
#include <array>

#include "src/block.h"
#include "tests/sim/oracle.h"

namespace holdfast::sim::test {
namespace {

// Of a block beside its payload, alignment included.
constexpr std::uint64_t kBesidePayload = kBlockHeaderBytes + 2 * kCacheLine;
// Buckets of catalogues that are read, and what the allocator rounds up.
constexpr std::uint64_t kOtherBlocks = 4;

}  // namespace

void Oracle::begun(std::uint64_t number, const Operation& operation) {
  uses_.emplace(number, Use{operation, std::nullopt});
}

void Oracle::let_go(std::uint64_t number, TimePoint when) {
  if (const auto use = uses_.find(number); use != uses_.end()) use->second.end = when;
}

void Oracle::many_ended(MemberId reader, MemberId owner) {
  for (const MemberId member : {reader, owner}) {
    --many_[member.value].under_way;
    many_[member.value].last_end = now();
  }
}

void Oracle::pinned(MemberId reader, std::uint32_t object, Duration time) {
  for (const MemberId member : {reader, objects_.at(object).owner}) {
    TimePoint& until = pinned_until_[member.value];
    until = std::max(until, now() + time);
  }
}

/// By pins, or by drafts, which may never be sealed.
bool Oracle::had_memory_pinned(const Operation& operation, MemberId owner) const {
  return std::ranges::any_of(std::array{operation.member, owner}, [&](MemberId member) {
    const auto until = pinned_until_.find(member.value);
    if (until != pinned_until_.end() && until->second > operation.start) return true;
    return std::ranges::any_of(objects_, [member](const auto& object) {
      return object.second.owner == member && object.second.state == State::drafting;
    });
  });
}

/// While a get of many waits for the next with those before in its hands, nothing else needs to find room.
bool Oracle::shared_memory_with_many(const Operation& operation, MemberId owner) const {
  return std::ranges::any_of(std::array{operation.member, owner}, [&](MemberId member) {
    const auto many = many_.find(member.value);
    return many != many_.end() && (many->second.under_way > 0 || many->second.last_end >= operation.start);
  });
}

std::uint64_t Oracle::bytes_of(const Operation& operation) const {
  std::uint64_t bytes = operation.bytes;
  if (const auto object = objects_.find(operation.object); object != objects_.end())
    bytes = std::max(bytes, object->second.bytes);
  if (const auto name = names_.find(operation.name); name != names_.end())
    for (const Naming& naming : name->second) bytes = std::max(bytes, objects_.at(naming.object).bytes);
  return bytes;
}

/// Blocks that lie as badly as they can leave no hole of the size that is wanted; all that it has ever put is
/// taken to be there still, but not what others have let go of before.
bool Oracle::may_lack_room(const Operation& operation, MemberId member) const {
  Life* const life = cluster_.life(member);
  if (life == nullptr) return true;
  const CatalogueGeometry& catalogue = life->card().catalogue;
  // Of one node alone: what has room there has room.
  const std::uint64_t arena = life->card().arena_bytes / scenario_.nodes - catalogue.bytes();
  std::uint64_t taken = 0, blocks = kOtherBlocks, entries = 0, wanted = bytes_of(operation) + kBesidePayload;
  const auto takes = [&](std::uint64_t bytes, std::uint64_t in) {
    taken += bytes + in * kBesidePayload;
    blocks += in;
  };
  for (const auto& [number, object] : objects_)
    if (object.owner == member && object.owner_life == cluster_.lives(member) &&
        !(object.erased && *object.erased < operation.start)) {
      takes(object.bytes, 1);
      ++entries;
    }
  for (const auto& [name, namings] : names_) entries += namings.size();
  for (const auto& [number, use] : uses_) {
    if (use.operation.member != member || (use.end && *use.end < operation.start)) continue;
    takes(bytes_of(use.operation), use.operation.blocks);
    wanted = std::max(wanted, bytes_of(use.operation) + kBesidePayload);  // who is before it in line
  }
  return entries >= catalogue.capacity() || taken >= arena || (blocks + 1) * wanted > arena - taken;
}

bool Oracle::may_be_full(const Operation& operation, std::vector<MemberId> others) const {
  if (is_troubled(operation.member)) return true;  // its queues may be full
  others.push_back(operation.member);
  return std::ranges::any_of(others, [&](MemberId member) { return may_lack_room(operation, member); });
}

}  // namespace holdfast::sim::test
