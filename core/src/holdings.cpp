#include "src/holdings.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "holdfast/base/check.h"
#include "holdfast/base/units.h"
#include "src/block.h"
#include "src/mutation.h"
#include "src/peers.h"

namespace holdfast {
namespace {
// Buckets are aligned to their size; a page keeps the catalogue off the lines of the first block.
constexpr std::uint64_t kCatalogueAlignment = 4096;
// How often waiters are looked through: each costs one of a million places meanwhile.
constexpr Duration kLookForLate = std::chrono::seconds(10);
}  // namespace

Result<Block> Holdings::allocate_catalogue(LocalMemory& memory, const CatalogueGeometry& geometry) {
  const numa::NodeId node = memory.arena().segments().front().node;
  auto block = memory.allocate(geometry.bytes(), kCatalogueAlignment, node);
  if (block) return block;
  return fail(
      Code::invalid, "Store::open",
      fmt::format(
          "a catalogue of {} entries takes {} and does not fit into a segment of the arena of {}; ask "
          "for fewer entries (HOLDFAST_CATALOGUE) or a larger arena (HOLDFAST_ARENA)",
          geometry.capacity(), format_bytes(geometry.bytes()), format_bytes(memory.arena().bytes())));
}

Result<std::unique_ptr<Holdings>> Holdings::create(const Parts& parts, CatalogueGeometry geometry,
                                                   const Block& catalogue) {
  HOLDFAST_TRY(Records records,
               make_zeroed_array<Record>(
                   geometry.slots(), "Store::open",
                   "no memory for the catalogue's records; ask for fewer entries (HOLDFAST_CATALOGUE)"));
  HOLDFAST_TRY(CatalogueWriter writer,
               CatalogueWriter::create(reinterpret_cast<CatalogueBucket*>(catalogue.address), geometry));
  return std::unique_ptr<Holdings>(new Holdings(parts, std::move(writer), std::move(records)));
}

Holdings::Holdings(const Parts& parts, CatalogueWriter catalogue, Records records)
    : clock_(parts.clock),
      memory_(parts.memory),
      neighbours_(parts.neighbours),
      references_(parts.references),
      rank_(parts.rank),
      incarnation_(parts.incarnation),
      lifetime_(parts.lifetime),
      catalogue_(std::move(catalogue)),
      records_(std::move(records)),
      most_kept_(parts.memory->arena().bytes() / 100 * parts.lifetime.spill.above_percent) {
  if (!parts.lifetime.spill.directories.empty())
    kept_ = make_eviction_policy(parts.lifetime.eviction, parts.memory->arena().bytes());
  for (const numa::Segment& segment : memory_->arena().segments())
    cache_.push_back(make_eviction_policy(parts.lifetime.eviction, segment.bytes));
  counts_.segments.resize(cache_.size());
}

Holdings::~Holdings() = default;

void Holdings::promise(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  ++promised_[id];
}

std::optional<Notice> Holdings::break_promise(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  if (promised_.erase(id) == 0) return std::nullopt;
  holders_.forget(id);
  return take_waiters(Key::of(id),
                      fail(Code::not_found, "Store::get", "the draft was dropped without being sealed"));
}

Result<std::optional<Notice>> Holdings::seal(const ObjectId& id, const BlockLayout& layout,
                                             const Block& block, std::vector<Part> parts, ItsEntry its) {
  const Entry entry{id, block.location, layout, rank_};
  const std::lock_guard lock(mutex_);
  if (references_.has_own()) count_own_drops();
  auto slot = insert(Key::of(id), entry, its);
  if (!slot) return tl::unexpected(std::move(slot).error());
  Record& record = records_[*slot] = Record{};
  record.lie_in(block.segment, block.extent);
  record.handles = 1;
  record.alignment_log = static_cast<std::uint8_t>(std::countr_zero(layout.alignment()));
  counts_.objects += 1;
  counts_.object_bytes += layout.size;
  counts_.memory_bytes += block.extent.bytes;
  count_in(record, true);
  if (kept_) {
    enqueue(id, record, Record::Queue::kept);
    if (kept_->bytes() > most_kept_) wake_spiller();
  }
  if (!parts.empty() && !HOLDFAST_MUTATION(lose_parts)) parts_.emplace(id, std::move(parts));
  if (promised_.empty()) return std::optional<Notice>();
  const auto promised = promised_.extract(id);
  if (promised.empty()) return std::optional<Notice>();
  record.handles += promised.mapped();
  return take_waiters(Key::of(id), entry);
}

Result<std::vector<Entry>> Holdings::parts_of(const ObjectId& id) const {
  const std::lock_guard lock(mutex_);
  if (!catalogue_.slot_of(Key::of(id)))
    return fail(Code::not_found, "Store::parts",
                fmt::format("object {} is not there (any more)", id.to_hex()));
  std::vector<Entry> entries;
  if (const auto found = parts_.find(id); found != parts_.end())
    for (const Part& part : found->second) entries.push_back(part.entry);
  return entries;
}

bool Holdings::note_name(const ObjectId& id, const Key& name, MemberId home) {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot) return false;
  Record& record = records_[*slot];
  record.name = Record::Name::keeps;
  record.name_high = name.high;
  record.name_low = name.low;
  ++named_objects_;
  note_concerned(home);
  return true;
}

std::optional<bool> Holdings::kept_by_name(const ObjectId& id) const {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot) return std::nullopt;
  return records_[*slot].name == Record::Name::keeps;
}

Result<Holdings::Erased> Holdings::erase(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot)
    return fail(Code::not_found, "Store::erase",
                fmt::format("object {} is not there (any more)", id.to_hex()));
  const Entry entry = catalogue_.read(*slot);
  const std::size_t pinned_before = limbo_.size();
  const Record record = take_out(*slot, entry);
  counts_.erases += 1;
  Erased erased;
  erased.awaiting_unpin = limbo_.size() > pinned_before;
  if (record.name != Record::Name::none && !HOLDFAST_MUTATION(keep_name_after_erase))
    erased.name = Key{record.name_high, record.name_low, Key::Kind::name};
  return erased;
}

/// Out of the catalogue and of all books; its block is freed, or waits for the last pin.
Holdings::Record Holdings::take_out(std::uint64_t slot, const Entry& entry) {
  enqueue(entry.id, records_[slot], Record::Queue::none);
  const Record record = std::exchange(records_[slot], Record{});
  if (record.place == Record::Place::asked) ++erased_asked_;
  if (record.name == Record::Name::keeps) --named_objects_;
  remove_entry(Key::of(entry.id));
  holders_.forget(entry.id);
  if (!parts_.empty()) parts_.erase(entry.id);  // own ones are counted as handles that have gone, later
  counts_.objects -= 1;
  counts_.object_bytes -= entry.layout.size;
  if (record.copy != 0 && !HOLDFAST_MUTATION(keep_dead_copies)) {
    dead_copies_.push_back(record.copy);
    wake_spiller();  // who waits for it is told, too
  }
  if (entry.on_disk()) {
    counts_.on_disk -= 1;
    counts_.on_disk_bytes -= entry.layout.block_bytes();
    if (record.place != Record::Place::disk) counts_.returning -= 1;
    return record;
  }
  counts_.memory_bytes -= record.bytes;
  count_in(record, false);
  const Block block = block_of(entry, record);
  // Readers elsewhere, who hold no pin, find out from the header. The bytes under a pin stay as they are.
  if (!HOLDFAST_MUTATION(keep_header_on_free)) spoil_header(block.address);
  (void)free_or_await_unpin(block);
  return record;
}

bool Holdings::free_or_await_unpin(const Block& block) {
  if (free_unless_pinned(block)) return true;
  limbo_.push_back(block);
  awaiting_unpin_.store(limbo_.size(), std::memory_order_relaxed);
  return false;
}

/// Counts an object in memory in or out of what its segment holds, as it is now.
void Holdings::count_in(const Record& record, bool in) {
  Counts::Segment& segment = counts_.segments[record.segment];
  const auto change = [in](std::uint64_t& what, std::uint64_t by) { what = in ? what + by : what - by; };
  change(segment.objects, 1);
  std::uint64_t& state = record.place == Record::Place::leaving ? segment.spilling
                         : record.queue == Record::Queue::cache ? segment.cached
                                                                : segment.kept;
  change(state, record.bytes);
}

/// Adds what the ledgers of this host's processes pin.
void Holdings::count_pinned(Counts& counts) const {
  for (const Block& block : limbo_) counts.segments[block.segment].pinned += block.extent.bytes;
  std::vector<std::uint64_t> pinned = neighbours_.pinned_locations(rank_);
  pinned.erase(std::unique(pinned.begin(), pinned.end()), pinned.end());
  for (const std::uint64_t location : pinned) {
    // A pin that is being announced may be of a place that is no block's any more: the catalogue knows.
    const auto id = id_in_header(memory_->arena().at(location));
    const auto slot = id ? catalogue_.slot_of(Key::of(*id)) : std::nullopt;
    if (!slot || catalogue_.read(*slot).location != location) continue;
    counts.segments[records_[*slot].segment].pinned += records_[*slot].bytes;
  }
}

Block Holdings::block_of(const Entry& entry, const Record& record) const {
  return {memory_->arena().at(entry.location), entry.location, record.segment, record.extent()};
}

bool Holdings::free_unless_pinned(const Block& block) {
  if (!HOLDFAST_MUTATION(skip_ledger_scan) && neighbours_.pinned({rank_, block.location})) return false;
  memory_->free(block);
  admission_.notify();
  return true;
}

void Holdings::collect() {
  const std::lock_guard lock(mutex_);
  free_unpinned();
}

void Holdings::free_unpinned() {
  std::erase_if(limbo_, [this](const Block& block) { return free_unless_pinned(block); });
  awaiting_unpin_.store(limbo_.size(), std::memory_order_relaxed);
}

Result<std::optional<Entry>> Holdings::await_object(const ObjectId& id, const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  if (const auto slot = catalogue_.slot_of(Key::of(id))) return std::optional<Entry>(catalogue_.read(*slot));
  if (!promised_.contains(id))
    return fail(Code::not_found, "Store::get", fmt::format("object {} is not there (any more)", id.to_hex()));
  HOLDFAST_DO(add_waiter(Key::of(id), waiter));
  return std::optional<Entry>();
}

Result<std::optional<Notice>> Holdings::publish(const Key& name, const Entry& entry) {
  const std::lock_guard lock(mutex_);
  auto slot = insert(name, entry, ItsEntry::to_be_found);
  if (!slot) {
    if (slot.error().code != Code::exists) return tl::unexpected(std::move(slot).error());
    if (HOLDFAST_MUTATION(name_overwrites)) {
      catalogue_.remove(name);  // and in again: as many as before
      return std::optional<Notice>(catalogue_.insert(name, entry) ? take_waiters(name, entry) : std::nullopt);
    }
    const Entry there = catalogue_.read(*catalogue_.slot_of(name));
    return fail(Code::exists, "Store::put",
                fmt::format("the name is taken by object {} of rank {}; erase it first, or choose another",
                            there.id.to_hex(), there.owner.value));
  }
  counts_.names += 1;
  return take_waiters(name, entry);
}

Result<Entry> Holdings::unpublish(const Key& name, const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(name);
  if (!slot) return fail(Code::not_found, "Store::erase", "no object has this name");
  const Entry entry = catalogue_.read(*slot);
  if (id != ObjectId{} && entry.id != id)
    return fail(Code::not_found, "Store::erase", "the name stands for another object by now");
  remove_entry(name);
  counts_.names -= 1;
  return entry;
}

Result<std::optional<Entry>> Holdings::await_name(const Key& name, const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  if (const auto slot = catalogue_.slot_of(name)) return std::optional<Entry>(catalogue_.read(*slot));
  HOLDFAST_DO(add_waiter(name, waiter));
  return std::optional<Entry>();
}

Result<Entry> Holdings::look(const Key& key) const {
  const std::lock_guard lock(mutex_);
  if (const auto slot = catalogue_.slot_of(key)) return catalogue_.read(*slot);
  return fail(Code::not_found, "Store::get", "it is not there (any more)");
}

Status Holdings::add_waiter(const Key& key, const Waiter& waiter) {
  if (counts_.waiters >= kMostWaiters)
    return fail(Code::full, "Store::get",
                fmt::format("rank {} has {} waiters already; wait for fewer names at once", rank_.value,
                            kMostWaiters));
  waiting_[key].push_back(waiter);
  counts_.waiters += 1;
  note_concerned(waiter.from);
  return {};
}

std::optional<Notice> Holdings::take_waiters(const Key& key, Result<Entry> outcome) {
  if (waiting_.empty() || HOLDFAST_MUTATION(forget_waiter)) return std::nullopt;
  auto found = waiting_.extract(key);
  if (found.empty()) return std::nullopt;
  counts_.waiters -= found.mapped().size();
  return Notice{std::move(found.mapped()), std::move(outcome)};
}

void Holdings::give_up(const Key& key, const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(key);
  if (found == waiting_.end()) return;
  counts_.waiters -= std::erase_if(found->second, [&](const Waiter& other) {
    return other.request == waiter.request && other.reply_to == waiter.reply_to;
  });
  if (found->second.empty()) waiting_.erase(found);
}

template <class Which>
void Holdings::forget_waiters(Which&& which) {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    counts_.waiters -= std::erase_if(at->second, which);
    at = at->second.empty() ? waiting_.erase(at) : std::next(at);
  }
}

void Holdings::forget_late_waiters() {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (now < look_for_late_at_) return;
  look_for_late_at_ = now + kLookForLate;
  forget_waiters([now](const Waiter& waiter) { return waiter.until <= now; });
}

std::vector<std::pair<Key, ObjectId>> Holdings::member_lost(MemberId member, const Peers& peers,
                                                            Waiters waiters) {
  std::vector<std::pair<Key, ObjectId>> names;
  if (HOLDFAST_MUTATION(keep_holds_of_the_dead)) return names;
  const std::lock_guard lock(mutex_);
  for (const ObjectId& id : holders_.member_lost(member)) settle(id);
  const bool goes = waiters == Waiters::go;
  if (goes) forget_waiters([member](const Waiter& waiter) { return waiter.from == member; });
  const bool concerned = goes ? concerned_.erase(member) != 0 : concerned_.contains(member);
  if (!concerned || HOLDFAST_MUTATION(keep_names_of_the_dead)) return names;
  std::uint64_t left = named_objects_;
  for (std::uint64_t slot = 0; left > 0 && slot < catalogue_.geometry().slots(); ++slot) {
    Record& record = records_[slot];
    if (record.name != Record::Name::keeps) continue;
    --left;
    const Key name{record.name_high, record.name_low, Key::Kind::name};
    if (!peers.is_home(member, name)) continue;
    record.name = Record::Name::lost;
    --named_objects_;
    names.emplace_back(name, catalogue_.read(slot).id);
    settle(names.back().second);
  }
  return names;
}

/// After its name or waiter was counted: somebody is to begin to look after it, if nobody does already.
void Holdings::note_concerned(MemberId member) {
  const bool another = member != rank_ && concerned_.insert(member).second;
  const bool first = named_objects_ + counts_.waiters == 1 && !concerned_.empty();
  if (!another && !first) return;
  news_.store(true, std::memory_order_release);
  references_.nudge();
}

Holdings::Counts Holdings::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts = counts_;
  counts.awaiting_unpin = limbo_.size();
  for (const auto& cache : cache_) counts.cached += cache->size();
  counts.cached_bytes = cached_bytes();
  counts.held_elsewhere = holders_.objects();
  counts.promised = promised_.size();
  counts.with_parts = parts_.size();
  counts.puts_waiting = admission_.waiting();
  count_pinned(counts);
  return counts;
}

}  // namespace holdfast
