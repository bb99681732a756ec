#include "src/ledger.h"

#include <algorithm>

#include "src/thread_index.h"

namespace holdfast {
namespace {

// Threads start their search apart, so that they neither contend nor walk over each other's pins. Slots next
// to each other share cache lines, hence the stride.
constexpr std::uint32_t kThreadStride = 64;
// A search goes on from where the last one ended. Who always holds some pins would wander through the whole
// ledger, which owners then look through: so it begins anew after as many.
constexpr std::uint32_t kMovesBeforeReturn = 256;

struct Search {
  std::uint32_t start = thread_index() * kThreadStride;
  std::uint32_t moves = 0;
};

Search& search() noexcept {
  thread_local Search mine;
  return mine;
}

}  // namespace

Result<Ledger> Ledger::create(std::uint32_t slots) {
  Ledger ledger;
  HOLDFAST_TRY(ledger.region_, numa::SharedRegion::create(
                                   "holdfast-ledger", sizeof(LedgerMemory) + slots * sizeof(std::uint64_t)));
  ledger.slots_ = slots;
  return ledger;
}

std::optional<std::uint32_t> Ledger::announce(const PinnedBlock& block) noexcept {
  LedgerMemory& ledger = memory();
  Search& mine = search();
  std::uint32_t slot = mine.start % slots_;
  for (std::uint32_t looked = 0; looked < slots_; ++looked) {
    std::uint64_t expected = 0;
    // Raised before the slot is used: an owner that reads it too low would miss the pin.
    std::uint64_t high = ledger.high_water.load(std::memory_order_relaxed);
    while (slot >= high &&
           !ledger.high_water.compare_exchange_weak(high, slot + 1, std::memory_order_seq_cst)) {
    }
    if (ledger.slots()[slot].load(std::memory_order_relaxed) == 0 &&
        ledger.slots()[slot].compare_exchange_strong(expected, block.pack(), std::memory_order_seq_cst)) {
      if (looked == 0) return slot;
      mine.start = slot;
      if (++mine.moves == kMovesBeforeReturn) mine = {};
      return slot;
    }
    slot = slot + 1 == slots_ ? 0 : slot + 1;
  }
  return std::nullopt;
}

void ledger_pins_of(const LedgerMemory* ledger, std::uint64_t bytes, MemberId owner,
                    std::vector<std::uint64_t>& found) {
  const std::uint64_t present = (bytes - sizeof(LedgerMemory)) / sizeof(std::uint64_t);
  const std::uint64_t used = std::min(ledger->high_water.load(std::memory_order_seq_cst), present);
  const std::uint64_t first = PinnedBlock{owner, 0}.pack();
  for (std::uint64_t slot = 0; slot < used; ++slot) {
    const std::uint64_t pin = ledger->slots()[slot].load(std::memory_order_seq_cst);
    if (pin >> PinnedBlock::kOwnerShift == first >> PinnedBlock::kOwnerShift)
      found.push_back((pin - first) * kCacheLine);
  }
}

bool ledger_pins(const LedgerMemory* ledger, std::uint64_t bytes, const PinnedBlock& block) noexcept {
  // The neighbour's word is not trusted beyond the memory that is mapped.
  const std::uint64_t present = (bytes - sizeof(LedgerMemory)) / sizeof(std::uint64_t);
  const std::uint64_t used = std::min(ledger->high_water.load(std::memory_order_seq_cst), present);
  const std::uint64_t wanted = block.pack();
  for (std::uint64_t slot = 0; slot < used; ++slot)
    if (ledger->slots()[slot].load(std::memory_order_seq_cst) == wanted) return true;
  return false;
}

}  // namespace holdfast
