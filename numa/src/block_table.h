// Descriptors of blocks, named by 32-bit handles. They never move, so one may be read without a lock by
// whoever owns the block.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace holdfast::numa {

using BlockHandle = std::uint32_t;
inline constexpr BlockHandle kNoBlock = 0;

enum class BlockState : std::uint8_t {
  unused,  ///< a descriptor that describes nothing
  free,    ///< in a list of the TLSF structure
  cached,  ///< given back, but in a thread's cache or on its way to the TLSF structure
  used,    ///< handed out
};

/// `begin`, `granules` change only while the block is free; `previous`, `next` under the TLSF structure's
/// lock; `list_*` belong to whoever holds the block: that structure (free) or a thread's cache (cached).
struct Block {
  std::uint64_t begin = 0;  ///< in granules
  std::uint64_t granules = 0;
  BlockHandle previous = kNoBlock;  ///< the neighbour below
  BlockHandle next = kNoBlock;      ///< the neighbour above
  BlockHandle list_previous = kNoBlock;
  BlockHandle list_next = kNoBlock;
  std::atomic<BlockState> state{BlockState::unused};
};

/// Grows by doubling; gives nothing back before it is destroyed. 40 bytes a block.
class BlockTable {
 public:
  BlockTable() = default;
  ~BlockTable();
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;

  /// Any thread. The handle must be one that take() has given.
  Block& operator[](BlockHandle handle) const noexcept {
    const Place place(handle);
    return chunks_[place.chunk].load(std::memory_order_acquire)[place.index];
  }

  /// Any thread, any number; nullptr where no such descriptor exists.
  Block* find(BlockHandle handle) const noexcept {
    const Place place(handle);
    Block* const chunk = chunks_[place.chunk].load(std::memory_order_acquire);
    return handle == kNoBlock || chunk == nullptr ? nullptr : &chunk[place.index];
  }

  /// Makes sure that the next `count` calls of take() succeed. False where the process has no memory left,
  /// or all handles are taken. Under the owner's lock, as the two below.
  bool reserve(std::uint32_t count) noexcept;
  BlockHandle take() noexcept;
  void give_back(BlockHandle handle) noexcept;

 private:
  // Chunk c holds 2^(c + kFirstBits) descriptors: 32 - kFirstBits + 1 chunks name all 32-bit handles.
  static constexpr unsigned kFirstBits = 10;
  struct Place {
    explicit Place(BlockHandle handle) noexcept {
      const std::uint64_t shifted = std::uint64_t{handle} + (1ULL << kFirstBits);
      const auto bits = static_cast<unsigned>(std::bit_width(shifted)) - 1;
      chunk = bits - kFirstBits;
      index = shifted - (1ULL << bits);
    }
    unsigned chunk = 0;
    std::uint64_t index = 0;
  };

  std::array<std::atomic<Block*>, 32 - kFirstBits + 1> chunks_{};
  BlockHandle unused_ = kNoBlock;   // list of descriptors given back, by list_next
  std::uint64_t unused_count_ = 0;  // in that list
  std::uint64_t fresh_ = 1;         // the first handle never taken
  std::uint64_t room_ = 0;          // handles below it have a chunk
  unsigned chunk_count_ = 0;
};

}  // namespace holdfast::numa
