// Room for what is put: memory, and an entry of the catalogue; what is evicted for it, and what is said where
// there is none.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "holdfast/base/check.h"
#include "holdfast/base/units.h"
#include "src/holdings.h"

namespace holdfast {
namespace {

// Evicted beyond what is asked for, so that the next puts find room at once.
constexpr std::uint64_t kExtraShare = 10;

/// Why so many bytes of objects stay in memory.
std::string what_stays(std::uint64_t bytes, std::uint64_t pinned, bool has_disks, bool refused) {
  pinned = std::min(pinned, bytes);
  const std::string said = fmt::format("{} of these pinned now", format_bytes(pinned));
  if (!has_disks || pinned == bytes) return said;
  return said + fmt::format(", {} {}", format_bytes(bytes - pinned),
                            refused ? "refused by the disks or too large for them" : "not on disk yet");
}

}  // namespace

Result<Block> Holdings::allocate(std::uint64_t bytes, std::uint64_t alignment,
                                 std::optional<numa::NodeId> node) {
  // What comes back from disk has been waited for longer. (Set before the reserve is opened for it.)
  if (!restore_waits_.load(std::memory_order_relaxed)) [[likely]] {
    if (const auto block = memory_->try_allocate(bytes, alignment, node, 1)) return *block;
    if (!memory_->can_ever_fit(bytes, node)) return memory_->allocate(bytes, alignment, node);
  }
  Lock lock(mutex_);
  if (restore_waits_.load(std::memory_order_relaxed))
    return fail(Code::full, "Store::put", "objects that are brought back from disk wait for room");
  auto block = allocate_evicting(bytes, alignment, node, lock);
  if (!block && block.error().code == Code::full && kept_) {
    want(bytes);
    wake_spiller();
  }
  return block;
}

Result<Block> Holdings::allocate_evicting(std::uint64_t bytes, std::uint64_t alignment,
                                          std::optional<numa::NodeId> node, Lock& lock) {
  count_own_drops();
  free_unpinned();
  // What nobody keeps on the nearest node gives way before another node is chosen, but not again and again
  // for a hole that does not come.
  const std::vector<std::size_t>& nearest = memory_->nearest_segments(node);
  auto block = memory_->try_allocate(bytes, alignment, node, 1);
  if (!block && nearest.size() > 1 && eviction_may_help(nearest[0], bytes) && make_room(nearest[0], bytes))
    block = memory_->try_allocate(bytes, alignment, node, 1);
  if (!block) block = memory_->try_allocate(bytes, alignment, node);
  if (block) return *block;
  const auto make_some = [&] {
    return std::ranges::any_of(nearest, [&](std::size_t segment) { return make_room(segment, bytes); });
  };
  for (bool some = make_some();; some = make_some()) {
    if (block = memory_->try_allocate(bytes, alignment, node); block) return *block;
    // What is free may not lie together.
    if (make_hole(bytes, alignment, lock) && (block = memory_->try_allocate(bytes, alignment, node)))
      return *block;
    if (!some) return memory_->allocate(bytes, alignment, node);  // which says why
  }
}

Result<Block> Holdings::allocate_object(std::uint64_t bytes, std::uint64_t alignment,
                                        std::optional<numa::NodeId> node) {
  if (!reserve_entry()) [[unlikely]] {
    const std::lock_guard lock(mutex_);
    count_own_drops();
    if (!make_entry())
      return fail(
          Code::full, "Store::put",
          fmt::format("all {} entries of the catalogue are taken; erase objects or names, or open the "
                      "store with more catalogue_entries (HOLDFAST_CATALOGUE)",
                      catalogue_.geometry().capacity()));
  }
  auto block = allocate(bytes, alignment, node);
  if (!block) give_entry_back();
  return block;
}

Result<Block> Holdings::allocate_in_line(std::uint64_t bytes, std::uint64_t alignment,
                                         std::optional<numa::NodeId> node, Duration timeout) {
  if (!admission_.crowded()) [[likely]] {
    auto block = allocate_object(bytes, alignment, node);
    if (block || block.error().code != Code::full) return block;
  }
  const TimePoint started = clock_.now();
  std::optional<Result<Block>> outcome;
  if (timeout > Duration::zero()) note_shortage();
  admission_.wait(clock_, Deadline::after(clock_, timeout), [&] {
    outcome.emplace(allocate_object(bytes, alignment, node));
    return *outcome || outcome->error().code != Code::full;
  });
  const std::lock_guard lock(mutex_);
  counts_.puts_waited += 1;
  counts_.put_waits.add(clock_.now() - started);
  if (outcome && (*outcome || outcome->error().code != Code::full)) return std::move(*outcome);
  return fail(
      Code::full, "Store::put",
      fmt::format("no room for {} within {} ms{}: {}; drop references, release pins, or open the "
                  "store with a larger arena (HOLDFAST_ARENA){}",
                  format_bytes(bytes), std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count(),
                  outcome ? "" : ", with other puts ahead in line", what_holds_memory(),
                  kept_ ? "" : " or a directory to spill to (HOLDFAST_SPILL)"));
}

void Holdings::note_shortage() {
  if (!shortage_.exchange(true, std::memory_order_acq_rel)) references_.nudge();
}

std::string Holdings::what_holds_memory() const {
  std::uint64_t used = 0, largest = 0;
  for (std::size_t segment = 0; segment < memory_->arena().segments().size(); ++segment) {
    const numa::AllocatorStats stats = memory_->allocator_stats(segment);
    used += stats.bytes_used;
    largest = std::max(largest, stats.largest_free);
  }
  std::uint64_t erased = 0;
  for (const Block& block : limbo_) erased += block.extent.bytes;
  Counts counts = counts_;
  count_pinned(counts);
  std::uint64_t pinned = 0;
  for (const Counts::Segment& segment : counts.segments) pinned += segment.pinned;
  const std::uint64_t cached = cached_bytes();
  const std::uint64_t kept = counts_.memory_bytes - cached;
  const std::uint64_t reserve = reserve_ ? reserve_->extent.bytes : 0;
  const std::uint64_t rest = used - std::min(used, kept + cached + erased + reserve);
  return fmt::format(
             "of {}, {} are objects that references or names keep, {} cached objects ({}), "
             "{} erased objects that are still pinned, "
             "{} drafts, copies of remote objects and the catalogue{}; the largest hole is {}{}{}{}",
             format_bytes(memory_->arena().bytes()), format_bytes(kept), format_bytes(cached),
             what_stays(kept + cached, pinned - erased, kept_ != nullptr, !disk_refuses_.empty()),
             format_bytes(erased), format_bytes(rest),
             reserve == 0
                 ? ""
                 : fmt::format(", {} in reserve for what comes back from disk", format_bytes(reserve)),
             format_bytes(largest),
             restore_waits_ ? "; an object that somebody gets from disk waits for room before all puts" : "",
             disk_refuses_.empty() ? "" : "; ", disk_refuses_) +
         what_holds_entries();
}

/// Nothing while there are some.
std::string Holdings::what_holds_entries() const {
  const std::uint64_t capacity = catalogue_.geometry().capacity();
  if (entries_taken_.load(std::memory_order_relaxed) < capacity) return {};
  return fmt::format(
      "; the {} entries of the catalogue are all taken, by {} objects, {} names and {} drafts: "
      "erase some, or open the store with more catalogue_entries (HOLDFAST_CATALOGUE)",
      capacity, counts_.objects, counts_.names, reserved_entries());
}

/// Without the lock; false if all are taken.
bool Holdings::reserve_entry() noexcept {
  if (entries_taken_.fetch_add(1, std::memory_order_relaxed) < catalogue_.geometry().capacity()) [[likely]]
    return true;
  entries_taken_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

/// With the lock: cached objects, which take entries, too, give way. False if there are none.
bool Holdings::make_entry() {
  while (!reserve_entry())
    if (!evict_any()) return false;
  return true;
}

std::uint64_t Holdings::reserved_entries() const noexcept {
  return entries_taken_.load(std::memory_order_relaxed) - catalogue_.entries();
}

void Holdings::give_entry_back() noexcept {
  entries_taken_.fetch_sub(1, std::memory_order_relaxed);
  admission_.notify();
}

void Holdings::remove_entry(const Key& key) {
  catalogue_.remove(key);
  give_entry_back();
}

/// False if there is nothing to evict in the segment.
bool Holdings::evict_one(std::size_t segment) {
  EvictionPolicy& cache = *cache_[segment];
  // Each at most once: what is pinned now goes to the end of the queue. After the first of them, all ledgers
  // are looked through once for all that are pinned, not once for each.
  std::optional<std::vector<std::uint64_t>> pinned;
  for (std::size_t tries = cache.size(); tries > 0; --tries) {
    const auto key = cache.evict();
    if (!key) return false;
    const ObjectId id{incarnation_, *key};
    const auto slot = catalogue_.slot_of(Key::of(id));
    HOLDFAST_CHECK(slot.has_value(), "what is cached is in the catalogue");
    const Entry entry = catalogue_.read(*slot);
    Record& record = records_[*slot];
    count_in(record, false);
    record.queue = Record::Queue::none;  // by the policy
    count_in(record, true);
    const bool was_pinned = pinned && std::ranges::binary_search(*pinned, entry.location);
    if (was_pinned || neighbours_.pinned({rank_, entry.location})) {
      enqueue(id, record, Record::Queue::cache);
      if (!pinned) pinned = neighbours_.pinned_locations(rank_);
      continue;
    }
    counts_.evictions += 1;
    counts_.segments[record.segment].evictions += 1;
    counts_.evicted_bytes += entry.layout.size;
    take_out(*slot, entry);
    return true;
  }
  return false;
}

/// For an entry of the catalogue: from where the most is cached.
bool Holdings::evict_any() {
  const auto fullest =
      std::ranges::max_element(cache_, {}, [](const auto& cache) { return cache->bytes(); }) - cache_.begin();
  if (evict_one(static_cast<std::size_t>(fullest))) return true;
  for (std::size_t segment = 0; segment < cache_.size(); ++segment)
    if (evict_one(segment)) return true;
  return false;
}

std::uint64_t Holdings::cached_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& cache : cache_) bytes += cache->bytes();
  return bytes;
}

bool Holdings::eviction_may_help(std::size_t segment, std::uint64_t bytes) const {
  const numa::AllocatorStats stats = memory_->allocator_stats(segment);
  const std::uint64_t cached = cache_[segment]->bytes();
  return cached > 0 && stats.bytes_total - stats.bytes_used + cached >= bytes;
}

/// False if nothing could be evicted there.
bool Holdings::make_room(std::size_t segment, std::uint64_t bytes) {
  count_own_drops();  // parts of what was evicted before are evicted next
  const EvictionPolicy& cache = *cache_[segment];
  const std::uint64_t wanted = bytes + memory_->arena().segments()[segment].bytes / kExtraShare;
  const std::uint64_t before = cache.bytes();
  while (before - cache.bytes() < wanted && evict_one(segment)) {
  }
  return cache.bytes() < before;
}

}  // namespace holdfast
