// Objects on their way back from disk, and the room that is kept for them.
//
// Two lines: those that somebody waits for, and those that were only prefetched, which come when nobody
// waits. The first of a line is given room wherever it can be made; who stands behind it does not wait for a
// first that finds none, but takes no more than the reserve while room is being made.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "src/block.h"
#include "src/holdings.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

// What is kept free for objects that come back: the largest one on disk, but not more than this share.
constexpr std::uint64_t kReserveShare = 8;

// What has come back stays until those who asked have been told and have pinned or read it: otherwise an
// object that is larger than what may be kept would leave before anybody saw it, each time.
constexpr Duration kLeastStay = std::chrono::milliseconds(10);
constexpr std::uint64_t kReadBytesPerNanosecond = 1;

// How long room is made for what is to come back though nobody waits for it: for all of it together.
constexpr Duration kUnaskedFor = std::chrono::seconds(1);
// While nothing is written and nothing leaves for so long, room waits for pins and drafts alone. To keep what
// is free from everybody would not bring it sooner: those who pin may need just that to go on.
constexpr Duration kStalledAfter = std::chrono::seconds(1);
// Behind the first, for which there is no room: how many are looked at.
constexpr std::size_t kMostPassedBy = 64;
// Of the reserve, where there is no room for a larger one.
constexpr std::uint64_t kLeastReserve = 4096;

Duration stay_of(std::uint64_t bytes) {
  return kLeastStay + Duration(static_cast<Duration::rep>(bytes / kReadBytesPerNanosecond));
}

}  // namespace

std::optional<Holdings::Restore> Holdings::next_restore() {
  Lock lock(mutex_);
  auto next = next_in(asked_, lock);
  if (!next && asked_.all.empty()) next = next_in(prefetched_, lock);
  if (!next) give_prefetches_up();
  restore_waits_.store(asked_.no_room_since && !stalled(), std::memory_order_relaxed);
  if (asked_.all.empty() && prefetched_.all.empty()) renew_reserve();
  return next;
}

/// The first, or else one behind it for which there is room nevertheless.
std::optional<Holdings::Restore> Holdings::next_in(Line& line, Lock& lock) {
  const auto leave = [&line](std::size_t at) {
    if (at == 0) line.no_room_since.reset();
    line.all.erase(line.all.begin() + static_cast<std::ptrdiff_t>(at));
  };
  std::size_t refused = 0;
  for (std::size_t at = 0; at < line.all.size() && (refused < kMostPassedBy || erased_asked_ > 0);) {
    const auto [id, asked] = line.all[at];
    const auto slot = catalogue_.slot_of(Key::of(id));
    if (!slot) {  // erased meanwhile: not_restored() tells who waits
      leave(at);
      erased_asked_ -= std::min<std::uint64_t>(erased_asked_, 1);
      return Restore{id, {}, 0, {}, {}, asked, {}};
    }
    if (!belongs_in(line, id)) {
      leave(at);
      continue;
    }
    if (refused >= kMostPassedBy) {
      ++at;
      continue;
    }
    const BlockLayout layout = catalogue_.read(*slot).layout;
    const std::uint64_t copy = records_[*slot].copy;
    const TimePoint left = records_[*slot].stays_until;
    const numa::NodeId node = memory_->arena().segments()[records_[*slot].segment].node;
    const auto block = at == 0 ? block_for_first(node, layout, lock) : block_behind_first(node, layout);
    if (!block) {
      if (at == 0 && !line.no_room_since) line.no_room_since = clock_.now();
      ++at;
      ++refused;
      continue;
    }
    // Erased while the lock was let go? restored() will see, and the copy lives until then.
    leave(at);
    if (const auto still = catalogue_.slot_of(Key::of(id))) records_[*still].place = Record::Place::arriving;
    spoil_header(block->address);  // not yet an object
    return Restore{id, layout, copy, spilled_part(block->address, layout), *block, asked, left};
  }
  if (line.place == Record::Place::asked) erased_asked_ = 0;
  return std::nullopt;
}

/// Whether an object is (still) to be brought back by this line. One for which nobody waits any more goes to
/// the prefetched ones.
bool Holdings::belongs_in(const Line& line, const ObjectId& id) {
  Record& record = records_[*catalogue_.slot_of(Key::of(id))];
  if (record.place != line.place) return false;
  if (line.place != Record::Place::asked || waiting_.contains(Key::of(id))) return true;
  record.place = Record::Place::prefetched;
  prefetched_.all.push_back({id, clock_.now()});
  return false;
}

/// They have had their time, and there is no room.
void Holdings::give_prefetches_up() {
  if (prefetched_.all.empty()) return prefetched_.no_room_since.reset();
  const TimePoint now = clock_.now();
  if (!prefetched_.no_room_since) prefetched_.no_room_since = now;
  if (now - *prefetched_.no_room_since < kUnaskedFor) return;
  for (const Line::Returning& one : prefetched_.all) {
    const auto slot = catalogue_.slot_of(Key::of(one.id));
    if (slot && records_[*slot].place == Record::Place::prefetched) stay_on_disk(one.id);
  }
  prefetched_.all.clear();
  prefetched_.no_room_since.reset();
}

/// No room is being made for the first of those that somebody waits for.
bool Holdings::stalled() const {
  return asked_.no_room_since && counts_.spilling == 0 &&
         clock_.now() - std::max(*asked_.no_room_since, last_left_) >= kStalledAfter;
}

void Holdings::stay_on_disk(const ObjectId& id) {
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot) return;
  records_[*slot].place = Record::Place::disk;
  counts_.returning -= 1;
  settle(id);
}

/// Room for the object that has waited the longest: where puts find theirs, and in the reserve.
std::optional<Block> Holdings::block_for_first(numa::NodeId node, const BlockLayout& layout, Lock& lock) {
  const std::uint64_t bytes = layout.block_bytes();
  // One that fits into the reserve leaves it to others if it can.
  if (!reserve_ || reserve_->extent.bytes >= bytes)
    if (auto block = allocate_evicting(bytes, layout.alignment(), node, lock)) return *block;
  if (reserve_) {
    const std::uint64_t reserved = open_reserve();
    auto block = allocate_evicting(bytes, layout.alignment(), node, lock);
    reserve_again(reserved);
    if (block) return *block;
  }
  want(bytes);
  return std::nullopt;
}

/// Room for one behind it: what is left of the reserve, so that what becomes free comes together for the
/// first; all that is free only where that does not help the first.
std::optional<Block> Holdings::block_behind_first(numa::NodeId node, const BlockLayout& layout) {
  const std::uint64_t bytes = layout.block_bytes();
  if (stalled())
    if (auto block = memory_->try_allocate(bytes, layout.alignment(), node)) return *block;
  if (!reserve_ || reserve_->extent.bytes < bytes) return std::nullopt;
  const std::uint64_t reserved = open_reserve();
  auto block = memory_->try_allocate(bytes, layout.alignment(), node);
  reserve_again(block ? reserved - std::min(reserved, block->extent.bytes) : reserved);
  if (!block) return std::nullopt;
  return *block;
}

/// Frees the reserve for who comes back; how large it was. Puts look no further for room without the lock.
std::uint64_t Holdings::open_reserve() {
  restore_waits_.store(true, std::memory_order_relaxed);  // until the end of next_restore()
  const Block reserve = *std::exchange(reserve_, std::nullopt);
  memory_->free(reserve);
  return reserve.extent.bytes;
}

/// As large as there is room for.
void Holdings::reserve_again(std::uint64_t bytes) {
  for (; !reserve_ && bytes >= kLeastReserve; bytes /= 2)
    if (auto block = memory_->try_allocate(bytes, kCacheLine, std::nullopt)) reserve_ = *block;
}

/// Without it, an arena full of drafts would leave no way back for what is on disk.
void Holdings::renew_reserve() {
  if (counts_.on_disk == 0) {
    if (reserve_) memory_->free(*reserve_);
    reserve_.reset();
    return;
  }
  const std::uint64_t bytes = std::min(largest_on_disk_, memory_->arena().bytes() / kReserveShare);
  if (reserve_ && reserve_->extent.bytes >= bytes) return;
  auto block = memory_->try_allocate(bytes, kCacheLine, std::nullopt);
  if (!block) return;  // a smaller one is better than none
  if (reserve_) memory_->free(*reserve_);
  reserve_ = *block;
}

std::optional<Notice> Holdings::restored(const Restore& restore) {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(restore.id));
  if (!slot) {
    memory_->free(restore.block);
    return nobody_comes(restore.id);
  }
  Record& record = records_[*slot];
  write_header(restore.block.address, {restore.id, incarnation_, restore.layout}, new_generation());
  record.lie_in(restore.block.segment, restore.block.extent);
  record.place = Record::Place::memory;
  record.stays_until = clock_.now() + stay_of(restore.layout.block_bytes());
  counts_.returning -= 1;
  catalogue_.move(*slot, restore.block.location);
  counts_.on_disk -= 1;
  counts_.on_disk_bytes -= restore.layout.block_bytes();
  counts_.memory_bytes += record.bytes;
  count_in(record, true);
  counts_.restore_times.add(clock_.now() - restore.asked);
  counts_.restores += 1;
  counts_.segments[record.segment].restores += 1;
  counts_.restored_bytes += restore.layout.block_bytes();
  auto notice = HOLDFAST_MUTATION(forget_restore_waiters)
                    ? std::nullopt
                    : take_waiters(Key::of(restore.id), catalogue_.read(*slot));
  settle(restore.id);
  return notice;
}

std::optional<Notice> Holdings::not_restored(const Restore& restore, Error error) {
  const std::lock_guard lock(mutex_);
  if (restore.block.address != nullptr) memory_->free(restore.block);
  const auto slot = catalogue_.slot_of(Key::of(restore.id));
  if (!slot) return nobody_comes(restore.id);
  stay_on_disk(restore.id);
  return take_waiters(Key::of(restore.id), tl::unexpected(std::move(error)));
}

std::optional<Notice> Holdings::nobody_comes(const ObjectId& id) {
  return take_waiters(Key::of(id),
                      fail(Code::not_found, "Store::get",
                           fmt::format("object {} was erased while it was brought back", id.to_hex())));
}

}  // namespace holdfast
