#include "src/get_local.h"

#include <fmt/format.h>

#include "src/block.h"
#include "src/pin_factory.h"

namespace holdfast {
namespace {

constexpr std::string_view kOperation = "Store::get";

// Each round means that the owner changed this very entry meanwhile.
constexpr int kAttempts = 1000;

/// Withdraws unless told to keep.
class Announced {
 public:
  Announced(Ledger& ledger, std::uint32_t slot) noexcept : ledger_(ledger), slot_(slot) {}
  ~Announced() {
    if (!kept_) ledger_.withdraw(slot_);
  }
  Announced(const Announced&) = delete;
  Announced& operator=(const Announced&) = delete;
  std::uint32_t keep() noexcept {
    kept_ = true;
    return slot_;
  }

 private:
  Ledger& ledger_;
  std::uint32_t slot_;
  bool kept_ = false;
};

bool payload_good(const std::byte* block, const std::byte* payload, const BlockLayout& layout,
                  const ByteRange& range) {
  if (!layout.checksummed() || range.bytes == 0) return true;
  const unsigned log = layout.chunk_log();
  const std::uint64_t first = range.offset >> log;
  const std::uint64_t last = ((range.offset + range.bytes - 1) >> log) + 1;
  return check_chunks(block, layout, first, last, payload + (first << log));
}

tl::unexpected<Error> corrupt(Job& job, const View& view, const ObjectId& id, std::string_view what) {
  job.counters.add(Count::corrupt);
  return fail(
      Code::corrupt, kOperation,
      fmt::format("the {} of object {} in the memory of {} fails its checksum; erase it and put it again",
                  what, id.to_hex(), job.peers->describe(view.owner)));
}

tl::unexpected<Error> stands_still(const Job& job, const View& view, const ObjectId& id) {
  return fail(Code::timed_out, kOperation,
              fmt::format("{} stands still while it changes the entry of object {}; is it stopped?",
                          job.peers->describe(view.owner), id.to_hex()));
}

tl::unexpected<Error> no_slot(const Job& job) {
  return fail(
      Code::full, kOperation,
      fmt::format(
          "this process holds {} pins, as many as it may; release some, or open the store with a larger "
          "StoreOptions::pins",
          job.memory->ledger().slots()));
}

}  // namespace

Status check_range(const std::optional<ByteRange>& range, std::uint64_t size) {
  if (!range || (range->offset <= size && range->bytes <= size - range->offset)) return {};
  return fail(Code::invalid, kOperation,
              fmt::format("the range of {} bytes from {} ends beyond the object of {} bytes", range->bytes,
                          range->offset, size));
}

namespace {

/// Pins the object if it lies where the entry says; nothing is pinned unless the check is good. No look at
/// the catalogue: the block describes itself, and its owner spoils the header before he looks for pins.
/// `damaged`, too, where the payload does not fit.
Result<HeaderCheck> pin_at(Job& job, const View& view, const Entry& entry, const Want& want, Pin& pin) {
  const BlockLayout& layout = entry.layout;
  const std::uint64_t payload_offset = layout.payload_offset();
  const std::byte* const block = view.at(entry.location, payload_offset + layout.size);
  if (block == nullptr) return HeaderCheck::other;
  const auto slot = job.memory->ledger().announce({view.owner, entry.location});
  if (!slot) return no_slot(job);
  Announced announced(job.memory->ledger(), *slot);
  const HeaderCheck header = check_header(block, {entry.id, view.incarnation, layout});
  if (header != HeaderCheck::good) return header;
  HOLDFAST_DO(check_range(want.range, layout.size));
  const ByteRange range = want.range.value_or(ByteRange{0, layout.size});
  const std::byte* const payload = block + payload_offset;
  if (want.check_in_place() && !payload_good(block, payload, layout, range)) return HeaderCheck::damaged;
  const bool own = view.owner == job.peers->self();
  job.counters.add(own ? Count::gets_local : Count::gets_shared);
  job.counters.add(own ? Count::get_bytes_local : Count::get_bytes_shared, range.bytes);
  job.accesses.note(entry.id, entry.owner);
  pin = PinFactory::in_place({payload + range.offset, range.bytes}, job.memory, announced.keep());
  return HeaderCheck::good;
}

}  // namespace

Result<bool> get_local(Job& job, const View& view, const Entry& remembered, const Want& want, Pin& pin) {
  HOLDFAST_TRY(const HeaderCheck at_once, pin_at(job, view, remembered, want, pin));
  if (at_once == HeaderCheck::good) [[likely]]
    return true;
  Found found;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const CatalogueLook look = view.catalogue.look(Key::of(remembered.id), found, want.patience);
    if (look == CatalogueLook::absent || (look == CatalogueLook::found && found.entry.on_disk()))
      return false;
    if (look == CatalogueLook::changing) return stands_still(job, view, remembered.id);
    if (look == CatalogueLook::damaged) return corrupt(job, view, remembered.id, "catalogue entry");
    HOLDFAST_TRY(const HeaderCheck header, pin_at(job, view, found.entry, want, pin));
    if (header == HeaderCheck::good) return true;
    // Erased, or moved, since we looked? Otherwise it should be there.
    if (found.still_there())
      return corrupt(job, view, remembered.id, header == HeaderCheck::damaged ? "content" : "header");
  }
  return corrupt(job, view, remembered.id, "catalogue entry");
}

}  // namespace holdfast
