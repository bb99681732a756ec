// Pins without locks. A reader announces a pin in its own ledger, which it alone writes, then looks at the
// entry again; the owner changes the entry, then looks through the ledgers of the processes on its host. Both
// sides are sequentially consistent, so either the reader sees the change or the owner sees the pin (Dekker).
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/numa/arena.h"
#include "holdfast/object_id.h"

namespace holdfast {

/// What a pin holds: a block of a member's arena.
struct PinnedBlock {
  MemberId owner;
  std::uint64_t location = 0;  ///< offset in the owner's arena; a multiple of a cache line, below 2^46

  /// Never 0, which means a free slot.
  std::uint64_t pack() const noexcept {
    return (static_cast<std::uint64_t>(owner.value) + 1) << kOwnerShift | location / kCacheLine;
  }
  static constexpr unsigned kOwnerShift = 40;
};
inline constexpr std::uint32_t kMostMembers = (1U << 24) - 2;

/// What a ledger looks like in shared memory; the slots follow. Those beyond `high_water` have never been
/// used.
struct LedgerMemory {
  using Slot = std::atomic<std::uint64_t>;
  std::atomic<std::uint64_t> high_water;
  std::uint64_t padding[7];

  Slot* slots() noexcept { return reinterpret_cast<Slot*>(this + 1); }
  const Slot* slots() const noexcept { return reinterpret_cast<const Slot*>(this + 1); }
};
static_assert(sizeof(LedgerMemory) == kCacheLine);

/// This process's ledger. Any thread.
class Ledger {
 public:
  /// Errors: system.
  static Result<Ledger> create(std::uint32_t slots);

  /// Announces a pin; its slot, or nothing where all are taken.
  std::optional<std::uint32_t> announce(const PinnedBlock& block) noexcept;

  /// Takes it back.
  void withdraw(std::uint32_t slot) noexcept { memory().slots()[slot].store(0, std::memory_order_release); }

  std::uint32_t slots() const noexcept { return slots_; }
  int fd() const noexcept { return region_.fd(); }
  void close_descriptor() noexcept { region_.close_descriptor(); }  ///< no further process will map it
  const LedgerMemory* shared() const noexcept { return &memory(); }
  std::uint64_t shared_bytes() const noexcept { return region_.bytes(); }

 private:
  LedgerMemory& memory() const noexcept { return *reinterpret_cast<LedgerMemory*>(region_.base()); }
  numa::SharedRegion region_;
  std::uint32_t slots_ = 0;
};

/// The locations of all blocks of a member that a ledger announces, added to `found`.
void ledger_pins_of(const LedgerMemory* ledger, std::uint64_t bytes, MemberId owner,
                    std::vector<std::uint64_t>& found);

/// True if a ledger of `bytes` bytes, this process's or a neighbour's, announces the block.
bool ledger_pins(const LedgerMemory* ledger, std::uint64_t bytes, const PinnedBlock& block) noexcept;

}  // namespace holdfast
