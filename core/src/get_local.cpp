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

Result<bool> get_local(Job& job, const View& view, const ObjectId& id, const Want& want, Pin& pin) {
  Found found;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const CatalogueLook look = view.catalogue.look(Key::of(id), found, want.patience);
    if (look == CatalogueLook::absent) return false;
    if (look == CatalogueLook::changing) return stands_still(job, view, id);
    if (look == CatalogueLook::damaged) return corrupt(job, view, id, "catalogue entry");
    const BlockLayout& layout = found.entry.layout;
    const ByteRange range = want.range.value_or(ByteRange{0, layout.size});
    if (want.range) HOLDFAST_DO(check_range(want.range, layout.size));
    const std::uint64_t payload_offset = layout.payload_offset();
    const std::byte* const block = view.at(found.entry.location, payload_offset + layout.size);
    if (block == nullptr) return corrupt(job, view, id, "catalogue entry");
    const auto slot = job.memory->ledger().announce({view.owner, found.entry.location});
    if (!slot) return no_slot(job);
    Announced announced(job.memory->ledger(), *slot);
    if (!found.still_there()) continue;  // it was erased or moved before we pinned it
    if (check_header(block, {id, view.incarnation, layout}) != HeaderCheck::good) {
      if (!found.still_there()) continue;
      return corrupt(job, view, id, "header");
    }
    const std::byte* const payload = block + payload_offset;
    if (want.check_in_place() && !payload_good(block, payload, layout, range))
      return corrupt(job, view, id, "payload");
    const bool own = view.owner == job.peers->self();
    job.counters.add(own ? Count::gets_local : Count::gets_shared);
    job.counters.add(own ? Count::get_bytes_local : Count::get_bytes_shared, range.bytes);
    pin = PinFactory::in_place({payload + range.offset, range.bytes}, job.memory, announced.keep());
    return true;
  }
  return corrupt(job, view, id, "catalogue entry");
}

}  // namespace holdfast
