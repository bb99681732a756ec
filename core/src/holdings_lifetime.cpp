// What keeps objects, and what happens to those that nothing keeps.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "holdfast/base/check.h"
#include "src/holdings.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

constexpr std::string_view kRedeem = "Store::redeem";

}  // namespace

/// Into the catalogue; cached objects, which take entries, too, give way. What others have reserved is
/// theirs.
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

}  // namespace holdfast
