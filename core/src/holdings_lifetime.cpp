// What keeps objects, and what happens to those that nothing keeps.
#include <fmt/format.h>

#include <algorithm>

#include "holdfast/base/check.h"
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
  auto block = memory_->allocate(bytes, alignment, node);
  if (block || block.error().code != Code::full) return block;
  const std::lock_guard lock(mutex_);
  count_own_drops();
  free_unpinned();
  if (block = memory_->allocate(bytes, alignment, node); block || block.error().code != Code::full)
    return block;
  make_room(bytes);
  // What was evicted may not lie together.
  while (!(block = memory_->allocate(bytes, alignment, node)) && block.error().code == Code::full &&
         evict_one()) {
  }
  return block;
}

/// Into the catalogue; cached objects, which take entries, too, give way.
Result<std::uint64_t> Holdings::insert(const Key& key, const Entry& entry) {
  auto slot = catalogue_.insert(key, entry);
  if (slot || slot.error().code != Code::full) return slot;
  count_own_drops();
  while (!slot && slot.error().code == Code::full && evict_one()) slot = catalogue_.insert(key, entry);
  return slot;
}

bool Holdings::kept(const ObjectId& id, const Record& record) const {
  return record.handles > 0 || record.named || holders_.keeps(id);
}

/// Puts an object where it belongs after what keeps it has changed.
void Holdings::settle(const ObjectId& id) {
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot) return;  // not sealed yet, or erased
  Record& record = records_[*slot];
  const bool cached = !kept(id, record);
  if (cached == record.cached) return;
  if (!cached) {
    cache_->erase(id.low);
    record.cached = false;
    return;
  }
  const Entry entry = catalogue_.read(*slot);
  if (lifetime_.collect == Collect::eager) {
    counts_.collected += 1;
    counts_.collected_bytes += entry.layout.size;
    take_out(*slot, entry);
    return;
  }
  cache_->insert(id.low, record.extent.bytes);
  record.cached = true;
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

void Holdings::member_lost(MemberId member) {
  if (HOLDFAST_MUTATION(keep_holds_of_the_dead)) return;
  const std::lock_guard lock(mutex_);
  for (const ObjectId& id : holders_.member_lost(member)) settle(id);
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

/// False if there is nothing to evict.
bool Holdings::evict_one() {
  // Each at most once: what is pinned now goes to the end of the queue.
  for (std::size_t tries = cache_->size(); tries > 0; --tries) {
    const auto key = cache_->evict();
    if (!key) return false;
    const ObjectId id{incarnation_, *key};
    const auto slot = catalogue_.slot_of(Key::of(id));
    HOLDFAST_CHECK(slot.has_value(), "what is cached is in the catalogue");
    const Entry entry = catalogue_.read(*slot);
    Record& record = records_[*slot];
    if (neighbours_.pinned({rank_, entry.location})) {
      cache_->insert(*key, record.extent.bytes);
      continue;
    }
    record.cached = false;
    counts_.evictions += 1;
    counts_.evicted_bytes += entry.layout.size;
    take_out(*slot, entry);
    return true;
  }
  return false;
}

void Holdings::make_room(std::uint64_t bytes) {
  const std::uint64_t wanted = bytes + memory_->arena().bytes() / kExtraShare;
  const std::uint64_t before = cache_->bytes();
  while (before - cache_->bytes() < wanted && evict_one()) {
  }
}

}  // namespace holdfast
