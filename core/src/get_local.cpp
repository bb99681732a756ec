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

bool payload_good(const std::byte* block, const BlockLayout& layout, const Want& want) {
  if (!want.check_in_place() || !layout.checksummed() || layout.size == 0) return true;
  const std::byte* const payload = block + layout.payload_offset();
  if (!want.range) return check_chunks(block, layout, 0, layout.chunks(), payload);
  if (want.range->bytes == 0) return true;
  const std::uint64_t chunk = layout.chunk_bytes();
  const std::uint64_t first = want.range->offset / chunk;
  const std::uint64_t last = (want.range->offset + want.range->bytes + chunk - 1) / chunk;
  return check_chunks(block, layout, first, last, payload + first * chunk);
}

}  // namespace

Status check_range(const std::optional<ByteRange>& range, std::uint64_t size) {
  if (!range || (range->offset <= size && range->bytes <= size - range->offset)) return {};
  return fail(Code::invalid, kOperation,
              fmt::format("the range of {} bytes from {} ends beyond the object of {} bytes", range->bytes,
                          range->offset, size));
}

Result<std::optional<Pin>> get_local(Job& job, const View& view, const ObjectId& id, const Want& want) {
  const auto corrupt = [&](std::string_view what) {
    job.counters.add(Count::corrupt);
    return fail(Code::corrupt, kOperation,
                fmt::format("the {} of object {} in the memory of {} fails its checksum; erase it and put it again", what,
                            id.to_hex(), job.peers->describe(view.owner)));
  };
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    HOLDFAST_TRY(const auto found, view.catalogue.find(Key::of(id)));
    if (!found) return std::optional<Pin>();
    const BlockLayout& layout = found->entry.layout;
    HOLDFAST_DO(check_range(want.range, layout.size));
    const std::byte* const block = view.at(found->entry.location, layout.block_bytes());
    if (block == nullptr) return corrupt("catalogue entry");
    const auto slot = job.memory->ledger().announce({view.owner, found->entry.location});
    if (!slot)
      return fail(Code::full, kOperation,
                  fmt::format("this process holds {} pins, as many as it may; release some, or open the store with a "
                              "larger StoreOptions::pins",
                              job.memory->ledger().slots()));
    Announced announced(job.memory->ledger(), *slot);
    if (!found->still_there()) continue;  // it was erased or moved before we pinned it
    if (check_header(block, {id, view.incarnation, layout}) != HeaderCheck::good) {
      if (!found->still_there()) continue;
      return corrupt("header");
    }
    if (!payload_good(block, layout, want)) return corrupt("payload");
    const ByteRange range = want.range.value_or(ByteRange{0, layout.size});
    const std::span bytes(block + layout.payload_offset() + range.offset, range.bytes);
    const bool own = view.owner == job.peers->self();
    job.counters.add(own ? Count::gets_local : Count::gets_shared);
    job.counters.add(own ? Count::get_bytes_local : Count::get_bytes_shared, range.bytes);
    return std::optional<Pin>(PinFactory::in_place(bytes, job.memory, announced.keep()));
  }
  return corrupt("catalogue entry");
}

}  // namespace holdfast
