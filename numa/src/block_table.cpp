#include "block_table.h"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

namespace holdfast::numa {

// Descriptors come to life as zeroed memory, which the kernel gives page by page when it is touched: so a
// doubling costs nothing at the moment it happens.
static_assert(std::is_trivially_destructible_v<Block> && static_cast<int>(BlockState::unused) == 0 &&
              kNoBlock == 0);

BlockTable::~BlockTable() {
  for (const std::atomic<Block*>& chunk : chunks_) std::free(chunk.load(std::memory_order_relaxed));
}

bool BlockTable::reserve(std::uint32_t count) noexcept {
  constexpr std::uint64_t kHandles = 1ULL << 32;
  while (unused_count_ + room_ < fresh_ + count) {
    if (room_ == kHandles) return false;
    const std::uint64_t size = 1ULL << (chunk_count_ + kFirstBits);
    auto* const chunk = static_cast<Block*>(std::calloc(size, sizeof(Block)));
    if (chunk == nullptr) return false;
    chunks_[chunk_count_].store(chunk, std::memory_order_release);
    ++chunk_count_;
    room_ = std::min(room_ + size, kHandles);
  }
  return true;
}

BlockHandle BlockTable::take() noexcept {
  if (unused_ == kNoBlock) return static_cast<BlockHandle>(fresh_++);
  const BlockHandle handle = unused_;
  unused_ = (*this)[handle].list_next;
  --unused_count_;
  return handle;
}

void BlockTable::give_back(BlockHandle handle) noexcept {
  Block& block = (*this)[handle];
  block.state.store(BlockState::unused, std::memory_order_release);
  block.list_next = unused_;
  unused_ = handle;
  ++unused_count_;
}

}  // namespace holdfast::numa
