// What keeps objects, and what happens to those that nothing keeps.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "holdfast/base/check.h"
#include "holdfast/base/units.h"
#include "src/holdings.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

constexpr std::string_view kRedeem = "Store::redeem";
// Evicted beyond what is asked for, so that the next puts find room at once.
constexpr std::uint64_t kExtraShare = 10;

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
      return fail(Code::full, "Store::put",
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
  std::uint64_t pinned = 0;
  for (const Block& block : limbo_) pinned += block.extent.bytes;
  const std::uint64_t cached = cached_bytes();
  const std::uint64_t kept = counts_.memory_bytes - cached;
  const std::uint64_t reserve = reserve_ ? reserve_->extent.bytes : 0;
  const std::uint64_t rest = used - std::min(used, kept + cached + pinned + reserve);
  return fmt::format(
      "of {}, {} are objects that references or names keep{}, {} cached objects (pinned now), {} erased "
      "objects "
      "that are still pinned, {} drafts, copies of remote objects and the catalogue{}; the largest hole is "
      "{}{}{}{}",
      format_bytes(memory_->arena().bytes()), format_bytes(kept),
      kept_ ? " (pinned now, or not written yet)" : "", format_bytes(cached), format_bytes(pinned),
      format_bytes(rest),
      reserve == 0 ? "" : fmt::format(", {} in reserve for what comes back from disk", format_bytes(reserve)),
      format_bytes(largest),
      restore_waits_ ? "; an object that somebody gets from disk waits for room before all puts" : "",
      disk_refuses_.empty() ? "" : "; ", disk_refuses_) + what_holds_entries();
}

/// Nothing while there are some.
std::string Holdings::what_holds_entries() const {
  const std::uint64_t capacity = catalogue_.geometry().capacity();
  if (entries_taken_.load(std::memory_order_relaxed) < capacity) return {};
  return fmt::format(
      "; the {} entries of the catalogue are all taken, by {} objects, {} names and {} drafts: erase some, or "
      "open the store with more catalogue_entries (HOLDFAST_CATALOGUE)",
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

/// Into the catalogue; cached objects, which take entries, too, give way. What others have reserved is theirs.
Result<std::uint64_t> Holdings::insert(const Key& key, const Entry& entry, ItsEntry its) {
  const bool has_one = its == ItsEntry::reserved || reserve_entry();
  if (!has_one) {
    count_own_drops();
    if (catalogue_.slot_of(key))
      return fail(Code::exists, "Catalogue::insert", "the key is in the catalogue already");
    if (!make_entry())
      return fail(Code::full, "Catalogue::insert",
                  "there is no entry left, or none that is not reserved" + what_holds_entries());
  }
  auto slot = catalogue_.insert(key, entry);
  // Where the two buckets of a key are full, which is no matter of how many there are.
  while (!slot && slot.error().code == Code::full && evict_any()) slot = catalogue_.insert(key, entry);
  if (!slot && its != ItsEntry::reserved) give_entry_back();
  return slot;
}

bool Holdings::kept(const ObjectId& id, const Record& record) const {
  return record.handles > 0 || record.name == Record::Name::keeps || holders_.keeps(id);
}

/// Into one of the sets from which objects leave memory, and out of the other.
void Holdings::enqueue(const ObjectId& id, Record& record, Record::Queue queue) {
  if (queue == Record::Queue::kept && !kept_) queue = Record::Queue::none;
  if (record.queue == queue) return;
  const bool in_memory = record.place == Record::Place::memory;
  if (in_memory) count_in(record, false);
  EvictionPolicy& cache = *cache_[record.segment];
  if (record.queue == Record::Queue::cache) {
    if (kept(id, record))
      cache.set_aside(id.low);  // held again: that is how a cached object is used
    else
      cache.erase(id.low);
  }
  if (record.queue == Record::Queue::kept) kept_->erase(id.low);
  if (queue == Record::Queue::cache) cache.insert(id.low, record.bytes);
  if (queue == Record::Queue::kept) kept_->insert(id.low, record.bytes);
  record.queue = queue;
  if (in_memory) count_in(record, true);
}

void Holdings::used(std::span<const std::uint64_t> objects) {
  const std::lock_guard lock(mutex_);
  for (const std::uint64_t object : objects) {
    for (const auto& cache : cache_) cache->hit(object);
    if (kept_) kept_->hit(object);
  }
}

/// Puts an object where it belongs after what keeps it has changed.
void Holdings::settle(const ObjectId& id) {
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot) return;  // not sealed yet, or erased
  Record& record = records_[*slot];
  if (record.place == Record::Place::leaving) return;  // settled when it has arrived
  // One that nothing keeps does not come back: it may be what keeps the memory, in a part of its own, for
  // which it waits.
  const bool on_disk = record.place != Record::Place::memory;
  if (kept(id, record)) return enqueue(id, record, on_disk ? Record::Queue::none : Record::Queue::kept);
  const bool worth_caching = !on_disk && (parts_.empty() || !parts_.contains(id));
  if (lifetime_.collect == Collect::lazy && worth_caching) {
    if (record.copy != 0) {
      dead_copies_.push_back(std::exchange(record.copy, 0));
      wake_spiller();
    }
    return enqueue(id, record, Record::Queue::cache);
  }
  // Nothing would be gained by cached objects on a disk; one with parts would keep others' memory.
  const Entry entry = catalogue_.read(*slot);
  counts_.collected += 1;
  counts_.collected_bytes += entry.layout.size;
  take_out(*slot, entry);
}

Status Holdings::may_hold(const ObjectId& id, const TokenId& token) const {
  if (token.number != 0 && !holders_.accepts(id, token))
    return fail(
        Code::expired, kRedeem,
        fmt::format("the token for object {} has expired; redeem tokens within {} s of making them, or "
                    "open the store with a longer token_lifetime (HOLDFAST_TOKEN_LIFETIME)",
                    id.to_hex(),
                    std::chrono::duration_cast<std::chrono::seconds>(lifetime_.token_lifetime).count()));
  if (catalogue_.slot_of(Key::of(id)) || promised_.contains(id)) return {};
  return fail(Code::not_found, kRedeem, fmt::format("object {} is not there (any more)", id.to_hex()));
}

Status Holdings::hold_own(const ObjectId& id, const TokenId& token) {
  const std::lock_guard lock(mutex_);
  count_own_drops();
  HOLDFAST_DO(may_hold(id, token));
  if (const auto slot = catalogue_.slot_of(Key::of(id)))
    ++records_[*slot].handles;
  else
    ++promised_[id];
  settle(id);
  return {};
}

Status Holdings::hold(MemberId member, const HoldRequest& request) {
  const std::lock_guard lock(mutex_);
  count_own_drops();
  HOLDFAST_DO(may_hold(request.id, request.token));
  holders_.hold(request.id, member, request.number, clock_.now());
  news_.store(true, std::memory_order_release);
  settle(request.id);
  return {};
}

TokenId Holdings::make_token(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  const TokenId token{rank_, ++last_token_};
  note_token(id, token);
  return token;
}

void Holdings::add_token(const ObjectId& id, const TokenId& token) {
  const std::lock_guard lock(mutex_);
  note_token(id, token);
}

void Holdings::note_token(const ObjectId& id, const TokenId& token) {
  holders_.add_token(id, token, clock_.now() + lifetime_.token_lifetime);
  settle(id);
  news_.store(true, std::memory_order_release);
}

std::optional<TimePoint> Holdings::next_expiry() const {
  const std::lock_guard lock(mutex_);
  return holders_.next_expiry();
}

void Holdings::drop(const ObjectId& id, MemberId member, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (holders_.drop(id, member, number)) settle(id);
}

void Holdings::undo_hold(const ObjectId& id, MemberId member, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  if (holders_.undo(id, member, number)) settle(id);
}

std::optional<MemberId> Holdings::next_concerned(MemberId last) const {
  const std::lock_guard lock(mutex_);
  if (concerned_.empty() || (named_objects_ == 0 && counts_.waiters == 0)) return std::nullopt;
  const auto next = concerned_.upper_bound(last);
  return next == concerned_.end() ? *concerned_.begin() : *next;
}

std::vector<MemberId> Holdings::holding_members() const {
  const std::lock_guard lock(mutex_);
  return holders_.members();
}

std::optional<TimePoint> Holdings::tidy() {
  const std::lock_guard lock(mutex_);
  count_own_drops();
  for (const ObjectId& id : holders_.expire(clock_.now())) settle(id);
  return holders_.next_expiry();
}

void Holdings::count_own_drops() {
  references_.take_own(own_drops_);
  for (const ObjectId& id : own_drops_) {
    if (const auto slot = catalogue_.slot_of(Key::of(id))) {
      HOLDFAST_CHECK(records_[*slot].handles > 0, "a handle is dropped once");
      --records_[*slot].handles;
      settle(id);
    } else if (const auto promised = promised_.find(id); promised != promised_.end()) {
      --promised->second;  // the draft itself keeps the promise
    }
  }
  own_drops_.clear();
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
