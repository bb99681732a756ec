// Kept objects on their way to disk; the way back is in holdings_restore.cpp.
//
// Leaving memory: the entry says so first, then the header is spoiled, then pins are looked for. A reader on
// this host announces its pin before it looks at the header, so it either sees the spoiled header, and then
// the entry, or its pin is seen, and the object stays. A reader elsewhere finds out from what it has read.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "holdfast/base/check.h"
#include "src/block.h"
#include "src/holdings.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

// Pinned objects that are passed over before the next attempt: each is looked for in every ledger.
constexpr std::size_t kMostPassedOver = 64;

// Who waits for room asks every 2 ms. Who has not for so long has got it some other way, or has gone.
constexpr Duration kWantedFor = std::chrono::milliseconds(200);

}  // namespace

void Holdings::want(std::uint64_t bytes) {
  wanted_ = std::max(wanted(), bytes);
  wanted_until_ = clock_.now() + kWantedFor;
}

std::uint64_t Holdings::wanted() const { return clock_.now() < wanted_until_ ? wanted_ : 0; }

void Holdings::set_spiller(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_spiller_ = std::move(wake);
}

bool Holdings::may_make_room() const {
  const std::lock_guard lock(mutex_);
  return wake_spiller_ && (counts_.spilling > 0 || kept_->size() > 0);
}

Result<std::optional<Entry>> Holdings::await_resident(const ObjectId& id, const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot)
    return fail(Code::not_found, "Store::get", fmt::format("object {} is not there (any more)", id.to_hex()));
  const Entry entry = catalogue_.read(*slot);
  if (!entry.on_disk()) return std::optional<Entry>(entry);
  const bool waits = !waiter.reply_to.empty();
  if (waits) HOLDFAST_DO(add_waiter(Key::of(id), waiter));
  Record& record = records_[*slot];
  const bool is_new = record.place == Record::Place::disk;
  if (!is_new && !(waits && record.place == Record::Place::prefetched)) return std::optional<Entry>();
  if (is_new) counts_.returning += 1;
  Line& line = waits ? asked_ : prefetched_;
  record.place = line.place;
  line.all.push_back({id, clock_.now()});
  wake_spiller();
  return std::optional<Entry>();
}

std::optional<Holdings::Spill> Holdings::next_spill(std::uint64_t refused_from) {
  const std::lock_guard lock(mutex_);
  count_own_drops();
  const auto pressed = [this] { return kept_->bytes() > most_kept_ || counts_.spilling_bytes < wanted(); };
  const std::size_t most = std::min(kMostPassedOver, kept_->size());  // each of them once
  for (std::size_t passed = 0; passed < most && pressed();) {
    const auto key = kept_->evict();
    if (!key) return std::nullopt;
    const ObjectId id{incarnation_, *key};
    const auto slot = catalogue_.slot_of(Key::of(id));
    HOLDFAST_CHECK(slot.has_value(), "what is kept is in the catalogue");
    const Entry entry = catalogue_.read(*slot);
    Record& record = records_[*slot];
    record.queue = Record::Queue::none;
    const bool awaits_its_readers = clock_.now() < record.stays_until;
    if (record.copy != 0 && !awaits_its_readers && leave_memory(*slot, entry)) continue;
    const PinnedBlock pin{rank_, entry.location};
    if (HOLDFAST_MUTATION(free_before_written) && record.copy == 0 && leave_memory(*slot, entry)) {
      const auto ledger_slot = memory_->ledger().announce(pin);
      if (!ledger_slot) continue;
      return Spill{id,
                   spilled_part(memory_->arena().at(entry.location), entry.layout),
                   0,
                   *ledger_slot,
                   clock_.now(),
                   record.segment};
    }
    const bool may_write =
        record.copy == 0 &&
        spilled_part(memory_->arena().at(entry.location), entry.layout).size() < refused_from;
    const auto ledger_slot =
        may_write && !neighbours_.pinned(pin) ? memory_->ledger().announce(pin) : std::nullopt;
    if (!ledger_slot) {
      enqueue(id, record, Record::Queue::kept);
      ++passed;
      continue;
    }
    count_in(record, false);
    record.place = Record::Place::leaving;
    count_in(record, true);
    counts_.spilling += 1;
    counts_.spilling_bytes += record.bytes;
    return Spill{id,           spilled_part(memory_->arena().at(entry.location), entry.layout),
                 record.bytes, *ledger_slot,
                 clock_.now(), record.segment};
  }
  return std::nullopt;
}

/// Makes a block one that no reader finds; false if it is pinned, and stays as it is.
bool Holdings::hide(std::uint64_t slot, const Entry& entry) {
  catalogue_.move(slot, Entry::kOnDisk);
  spoil_header(memory_->arena().at(entry.location));
  if (!neighbours_.pinned({rank_, entry.location}) || HOLDFAST_MUTATION(leave_under_pins)) return true;
  show(slot, entry);
  return false;
}

/// Takes back hide(). Who looked meanwhile asks, and is told that it is here.
void Holdings::show(std::uint64_t slot, const Entry& entry) {
  if (!HOLDFAST_MUTATION(stay_spoiled)) mend_header(memory_->arena().at(entry.location), entry.layout);
  catalogue_.move(slot, entry.location);
}

/// Frees an object's block, of which the disk has a copy; false if it is pinned, and stays.
bool Holdings::leave_memory(std::uint64_t slot, const Entry& entry) {
  if (!hide(slot, entry)) return false;
  Record& record = records_[slot];
  const Block block = block_of(entry, record);
  memory_->free(block);
  count_in(record, false);
  record.place = Record::Place::disk;
  counts_.memory_bytes -= block.extent.bytes;
  counts_.on_disk += 1;
  counts_.on_disk_bytes += entry.layout.block_bytes();
  wanted_ -= std::min(wanted_, block.extent.bytes);
  largest_on_disk_ = std::max(largest_on_disk_, entry.layout.block_bytes());
  last_left_ = record.stays_until = clock_.now();
  if (!reserve_) renew_reserve();  // before a put takes what is free now
  admission_.notify();
  return true;
}

void Holdings::spilled(const Spill& spill, std::uint64_t copy) {
  const std::lock_guard lock(mutex_);
  memory_->ledger().withdraw(spill.pin);
  counts_.spills += 1;
  counts_.segments[spill.segment].spills += 1;
  counts_.spill_times.add(clock_.now() - spill.started);
  counts_.spilled_bytes += spill.bytes.size();
  if (HOLDFAST_MUTATION(free_before_written)) {
    if (const auto slot = catalogue_.slot_of(Key::of(spill.id))) records_[*slot].copy = copy;
    return;
  }
  count_own_drops();  // while it is on its way: none of the sets may have it when it leaves
  const auto slot = end_of_spill(spill);
  if (!slot) {
    dead_copies_.push_back(copy);
    return;
  }
  Record& record = records_[*slot];
  record.copy = copy;
  if (record.spills != UINT16_MAX) ++record.spills;
  if (kept(spill.id, record) && leave_memory(*slot, catalogue_.read(*slot))) {
    if (HOLDFAST_MUTATION(free_copy_on_disk)) dead_copies_.push_back(copy);
    return;
  }
  settle(spill.id);
}

void Holdings::kept_back(const Spill& spill) {
  const std::lock_guard lock(mutex_);
  memory_->ledger().withdraw(spill.pin);
  if (HOLDFAST_MUTATION(free_before_written)) return;
  if (end_of_spill(spill)) settle(spill.id);
}

void Holdings::note_refusal(std::string what) {
  const std::lock_guard lock(mutex_);
  disk_refuses_ = std::move(what);
}

/// The object's slot, if it was not erased meanwhile; its block can go then.
std::optional<std::uint64_t> Holdings::end_of_spill(const Spill& spill) {
  counts_.spilling -= 1;
  counts_.spilling_bytes -= spill.room;
  const auto slot = catalogue_.slot_of(Key::of(spill.id));
  if (!slot) {
    free_unpinned();
    return std::nullopt;
  }
  Record& record = records_[*slot];
  count_in(record, false);
  record.place = Record::Place::memory;
  count_in(record, true);
  return slot;
}

bool Holdings::short_of_room() const {
  const std::lock_guard lock(mutex_);
  return somebody_waits() || kept_->bytes() > most_kept_;
}

bool Holdings::somebody_waits() const {
  return !asked_.all.empty() || !prefetched_.all.empty() || counts_.spilling_bytes < wanted();
}

bool Holdings::room_is_awaited() const {
  const std::lock_guard lock(mutex_);
  return somebody_waits();
}

void Holdings::note_thrashing() {
  const std::lock_guard lock(mutex_);
  counts_.thrashing += 1;
}

std::vector<std::uint64_t> Holdings::take_dead_copies() {
  const std::lock_guard lock(mutex_);
  if (!dead_copies_.empty()) disk_refuses_.clear();  // there is room again, perhaps
  return std::exchange(dead_copies_, {});
}

}  // namespace holdfast
