// What is to be there while somebody holds something, and what is left when nobody does.
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/oracle.h"

namespace holdfast::sim::test {

void Oracle::all_is_well() {
  for (std::uint32_t rank = 0; rank < cluster_.size(); ++rank)
    if (cluster_.life({rank}) != nullptr && cluster_.lives({rank}) == 1) troubled_.erase(rank);
  slow_disks_.clear();
  uses_.clear();  // nothing is under way, and what was held for the network was given back
}

void Oracle::check_names(std::uint32_t names) {
  for (std::uint32_t name = 1; name <= names; ++name) {
    const MemberId home = home_of(name);
    Life* const life = cluster_.life(home);
    if (life == nullptr || is_troubled(home)) continue;
    const auto found = life->job().holdings->look(key_of_name(name));
    const Naming* const there = stable(name, now());
    if (there != nullptr && !is_troubled(objects_.at(there->object).owner) &&
        (!found || found->id != objects_.at(there->object).id))
      complain(fmt::format("name {} was given to object {}, and is not found", name, there->object));
    if (!found) continue;
    const auto number = number_of(found->id);
    if (!number) {
      complain(fmt::format("name {} stands for what nobody has put", name));
      continue;
    }
    const Object& object = objects_.at(*number);
    Life* const owner = cluster_.life(object.owner);
    if (owner != nullptr && is_owners_life(object) && !owner->job().holdings->look(Key::of(object.id)))
      complain(fmt::format("name {} stands for object {}, which is gone", name, *number));
  }
}

void Oracle::check_kept(MemberId holder, std::uint32_t object, TimePoint since) {
  const Object& it = objects_.at(object);
  Life* const owner = cluster_.life(it.owner);
  if (it.state != State::sealed || owner == nullptr || owner->leaving() || may_be_gone(it, holder, since))
    return;
  const auto found = owner->job().memory->view(it.owner)->catalogue.find(Key::of(it.id));
  if (!found || !*found)
    complain(fmt::format("object {} of rank {} was freed, but rank {} holds it", object, it.owner.value,
                         holder.value));
  for (const std::uint32_t part : it.parts) check_kept(it.owner, part, {});
}

/// Its restores and writes have ended, nothing of a dead object is on its disks, and it sleeps.
void Oracle::check_nothing_spilled(MemberId member, const Holdings::Counts& counts) {
  Life* const life = cluster_.life(member);
  if (life->spiller() == nullptr) return;
  const auto check = [&](std::uint64_t count, std::string_view what) {
    if (count != 0) complain(fmt::format("rank {} is left with {} {}", member.value, count, what));
  };
  check(counts.on_disk, "objects on disk");
  check(counts.returning, "objects that come back");
  check(counts.spilling, "objects being written");
  SpillFiles& files = life->spiller()->files();
  for (const SpillDirectoryStats& directory : files.stats().directories) {
    check(directory.bytes_live, "bytes that live on disk");
    // One that is written to, and one to go on with.
    constexpr std::uint64_t kFilesKept = 2;
    check(directory.segments - std::min(directory.segments, kFilesKept), "spill files too many");
  }
  // What the disks say, not only the books: files of all lives but this one have gone, too.
  std::uint64_t in_books = 0, on_disks = 0;
  for (const SpillDirectoryStats& directory : files.stats().directories) in_books += directory.segments;
  for (const auto& disk : cluster_.disks(member)) on_disks += disk->list().size();
  check(on_disks - std::min(on_disks, in_books), "files on disk that nobody knows");
  check(files.idle() ? 0 : 1, "spill files that are busy");
  check(life->job().holdings->short_of_room() ? 1 : 0, "spillers that look for room again and again");
}

Status Oracle::evict_all(MemberId member) {
  Life* const life = cluster_.life(member);
  if (life == nullptr) return {};
  // The catalogue lies in the first segment.
  Job& job = life->job();
  std::uint64_t beside = life->card().catalogue.bytes();
  std::vector<Block> all;
  Status status;
  for (const numa::Segment& segment : job.memory->arena().segments()) {
    const std::uint64_t bytes = segment.bytes - std::exchange(beside, 0);
    auto block = job.holdings->allocate(bytes, kCacheLine, segment.node);
    if (block)
      all.push_back(*block);
    else
      status = tl::unexpected(std::move(block).error());
  }
  for (const Block& block : all) job.memory->free(block);
  return status;
}

void Oracle::check_empty(MemberId member) {
  Life* const life = cluster_.life(member);
  if (life == nullptr) return;
  Job& job = life->job();
  const auto check = [&](std::uint64_t count, std::string_view what) {
    if (count != 0) complain(fmt::format("rank {} is left with {} {}", member.value, count, what));
  };
  check(life->quarantined(), "buffers in quarantine");
  // Everything unreferenced can be freed: there is room for one object of all the arena.
  const std::uint64_t catalogue = life->card().catalogue.bytes();
  if (const Status all = evict_all(member); !all)
    complain(fmt::format("rank {} cannot free its arena: {}", member.value, all.error().message()));
  const Holdings::Counts counts = job.holdings->counts();
  check(counts.objects, "objects");
  for (const auto& [number, object] : objects_)
    if (counts.objects != 0 && object.owner == member && is_owners_life(object) &&
        job.holdings->parts_of(object.id))
      complain(fmt::format("object {} is left: {}", number, job.holdings->why(object.id)));
  check(counts.names, "names");
  check(counts.waiters, "waiters");
  check(counts.promised, "promises");
  check(counts.with_parts, "objects with parts");
  check(job.references->asked(), "holds without an answer");
  if (cluster_.lives(member) == 1) check(life->calls_under_way(), "calls of its program");
  for (std::uint32_t other = 0; other < cluster_.size(); ++other)
    if (cluster_.life({other}) != nullptr && cluster_.lives({other}) == 1 && cluster_.lives(member) == 1)
      check(life->withdrawals_untold({other}), "withdrawals that somebody who lives was not told");
  check(counts.awaiting_unpin, "blocks that await their pins");
  check(counts.held_elsewhere, "objects with holders or tokens");
  for (const MemberId owner : job.references->owners())
    if (cluster_.life(owner) != nullptr)
      complain(fmt::format("rank {} still has references of rank {}'s", member.value, owner.value));
  check(job.neighbours->pinned_locations(member).size(), "pins");
  check_nothing_spilled(member, counts);
  std::uint64_t used = 0;
  for (std::size_t i = 0; i < job.memory->arena().segments().size(); ++i)
    used += job.memory->allocator_stats(i).bytes_used;
  check(used - catalogue, "bytes in use");
}

}  // namespace holdfast::sim::test
