#include "src/holdings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "holdfast/base/check.h"
#include "holdfast/base/units.h"
#include "src/block.h"

namespace holdfast {
namespace {
// Buckets are aligned to their size; a page keeps the catalogue off the lines of the first block.
constexpr std::uint64_t kCatalogueAlignment = 4096;
}  // namespace

void Holdings::FreeRecords::operator()(Record* records) const noexcept { std::free(records); }

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

Result<std::unique_ptr<Holdings>> Holdings::create(std::shared_ptr<LocalMemory> memory,
                                                   const Neighbours& neighbours, MemberId rank,
                                                   std::uint64_t incarnation, CatalogueGeometry geometry,
                                                   const Block& catalogue) {
  auto* const records = static_cast<Record*>(std::calloc(geometry.slots(), sizeof(Record)));
  if (records == nullptr)
    return fail(Code::system, "Store::open", "no memory for the catalogue's records; ask for fewer entries");
  CatalogueWriter writer(reinterpret_cast<CatalogueBucket*>(catalogue.address), geometry);
  return std::unique_ptr<Holdings>(
      new Holdings(std::move(memory), neighbours, rank, incarnation, std::move(writer), records));
}

Holdings::Holdings(std::shared_ptr<LocalMemory> memory, const Neighbours& neighbours, MemberId rank,
                   std::uint64_t incarnation, CatalogueWriter catalogue, Record* records)
    : memory_(std::move(memory)),
      neighbours_(neighbours),
      rank_(rank),
      incarnation_(incarnation),
      catalogue_(std::move(catalogue)),
      records_(records) {}

Holdings::~Holdings() = default;

Result<Block> Holdings::allocate(std::uint64_t bytes, std::uint64_t alignment,
                                 std::optional<numa::NodeId> node) {
  auto block = memory_->allocate(bytes, alignment, node);
  if (block || block.error().code != Code::full) return block;
  collect();
  return memory_->allocate(bytes, alignment, node);
}

void Holdings::promise(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  promised_.insert(id);
}

std::optional<Notice> Holdings::break_promise(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  if (promised_.erase(id) == 0) return std::nullopt;
  return take_waiters(Key::of(id),
                      fail(Code::not_found, "Store::get", "the draft was dropped without being sealed"));
}

Result<std::optional<Notice>> Holdings::seal(const ObjectId& id, const BlockLayout& layout,
                                             const Block& block) {
  const Entry entry{id, block.location, layout, rank_};
  const std::lock_guard lock(mutex_);
  HOLDFAST_TRY(const std::uint64_t slot, catalogue_.insert(Key::of(id), entry));
  records_[slot] = Record{block.extent, block.segment, 0, 0, 0};
  counts_.objects += 1;
  counts_.object_bytes += layout.size;
  if (promised_.empty() || promised_.erase(id) == 0) return std::optional<Notice>();
  return take_waiters(Key::of(id), entry);
}

bool Holdings::note_name(const ObjectId& id, const Key& name) {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot) return false;
  Record& record = records_[*slot];
  record.named = 1;
  record.name_high = name.high;
  record.name_low = name.low;
  return true;
}

Result<Holdings::Erased> Holdings::erase(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot)
    return fail(Code::not_found, "Store::erase",
                fmt::format("object {} is not there (any more)", id.to_hex()));
  const Entry entry = catalogue_.read(*slot);
  const Record record = records_[*slot];
  catalogue_.remove(Key::of(id));
  counts_.objects -= 1;
  counts_.object_bytes -= entry.layout.size;
  counts_.erases += 1;
  const Block block{memory_->arena().at(entry.location), entry.location, record.segment, record.extent};
  // Readers elsewhere, who hold no pin, find out from the header. The bytes under a pin stay as they are.
  spoil_header(block.address);
  Erased erased;
  erased.awaiting_unpin = !free_unless_pinned(block);
  if (erased.awaiting_unpin) limbo_.push_back(block);
  if (record.named != 0) erased.name = Key{record.name_high, record.name_low, Key::Kind::name};
  return erased;
}

bool Holdings::free_unless_pinned(const Block& block) {
  if (neighbours_.pinned({rank_, block.location})) return false;
  memory_->free(block);
  return true;
}

bool Holdings::collect() {
  const std::lock_guard lock(mutex_);
  std::erase_if(limbo_, [this](const Block& block) { return free_unless_pinned(block); });
  return !limbo_.empty();
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
  auto slot = catalogue_.insert(name, entry);
  if (!slot) {
    if (slot.error().code != Code::exists) return tl::unexpected(std::move(slot).error());
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
  catalogue_.remove(name);
  counts_.names -= 1;
  return entry;
}

Result<std::optional<Entry>> Holdings::await_name(const Key& name, const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  if (const auto slot = catalogue_.slot_of(name)) return std::optional<Entry>(catalogue_.read(*slot));
  HOLDFAST_DO(add_waiter(name, waiter));
  return std::optional<Entry>();
}

Status Holdings::add_waiter(const Key& key, const Waiter& waiter) {
  if (counts_.waiters >= kMostWaiters)
    return fail(Code::full, "Store::get",
                fmt::format("rank {} has {} waiters already; wait for fewer names at once", rank_.value,
                            kMostWaiters));
  waiting_[key].push_back(waiter);
  counts_.waiters += 1;
  return {};
}

std::optional<Notice> Holdings::take_waiters(const Key& key, Result<Entry> outcome) {
  if (waiting_.empty()) return std::nullopt;
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

Holdings::Counts Holdings::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts = counts_;
  counts.awaiting_unpin = limbo_.size();
  return counts;
}

}  // namespace holdfast
