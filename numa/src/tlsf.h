// Two-level segregated fit (M. Masmano et al., "TLSF: a New Dynamic Memory Allocator for Real-Time Systems",
// ECRTS 2004) over a range of numbers: the descriptors lie beside the range, not in it.
#pragma once

#include <array>
#include <cstdint>

#include "block_table.h"

namespace holdfast::numa {

/// Sizes and places in granules. Not thread-safe; only `block()` and `find()` may be called without the
/// owner's lock.
class Tlsf {
 public:
  explicit Tlsf(std::uint64_t granules);

  /// A block in state `used`, or kNoBlock. `alignment` is a power of two, `granules` at least 1.
  BlockHandle allocate(std::uint64_t granules, std::uint64_t alignment);
  /// Takes back a block in state `cached`, and joins it with free neighbours.
  void release(BlockHandle handle);

  /// Takes a free block as it is, if it is still this one.
  bool claim(BlockHandle handle, std::uint64_t begin, std::uint64_t granules);
  /// Adds what is free right above a used block to it.
  void grow(BlockHandle handle);
  /// Cuts the first granules, not all of them, off a used block and frees them. The handle of the rest;
  /// kNoBlock, and nothing done, where there is no memory for a descriptor.
  BlockHandle release_front(BlockHandle handle, std::uint64_t granules);
  /// Two used neighbours change places: what the upper descriptor described lies below then, and is described
  /// by the lower one. False if they are none.
  bool exchange(BlockHandle lower, BlockHandle upper);
  /// The block with the lowest place; its neighbours follow by Block::next.
  BlockHandle lowest() const noexcept { return lowest_; }

  Block& block(BlockHandle handle) const noexcept { return blocks_[handle]; }
  Block* find(BlockHandle handle) const noexcept { return blocks_.find(handle); }

  std::uint64_t granules() const noexcept { return granules_; }
  std::uint64_t granules_free() const noexcept { return granules_free_; }
  std::uint64_t blocks_used() const noexcept { return blocks_used_; }
  /// A size that allocate() would give now without alignment; 0 where nothing is free.
  std::uint64_t largest_free() const noexcept;

 private:
  // 32 classes for each power of two: the search for the next larger class passes over at most 1/32 of what
  // would fit.
  static constexpr unsigned kSecondBits = 5;
  static constexpr unsigned kSecondCount = 1U << kSecondBits;
  static constexpr unsigned kFirstCount = 64 - kSecondBits + 1;

  struct Class {
    unsigned first = 0, second = 0;
  };
  static Class class_of(std::uint64_t granules) noexcept;
  /// The first class all of whose blocks hold `granules`.
  static Class class_holding(std::uint64_t granules) noexcept;

  void link(BlockHandle handle);
  void unlink(BlockHandle handle);
  BlockHandle& head(Class of) noexcept { return lists_[of.first][of.second]; }
  BlockHandle head(Class of) const noexcept { return lists_[of.first][of.second]; }
  /// The first block of the first class from `from` on that has any; kNoBlock where none has.
  BlockHandle first_from(Class from) const noexcept;
  BlockHandle search(std::uint64_t granules, std::uint64_t alignment) const noexcept;
  BlockHandle search_class(Class in, std::uint64_t granules, std::uint64_t alignment) const noexcept;
  BlockHandle search_all(std::uint64_t granules, std::uint64_t alignment) const noexcept;
  /// Cuts what lies above the first `granules` of a block off into a new one, not in any list.
  BlockHandle split(BlockHandle handle, std::uint64_t granules);
  /// Joins a block, not in any list, to the one below it.
  BlockHandle join(BlockHandle below, BlockHandle above);

  BlockTable blocks_;
  std::uint64_t first_bits_ = 0;                          // classes of the first level that have blocks
  std::array<std::uint32_t, kFirstCount> second_bits_{};  // the same of the second level
  std::array<std::array<BlockHandle, kSecondCount>, kFirstCount> lists_{};
  BlockHandle lowest_ =
      kNoBlock;  // never changes: a block that is cut or joined keeps its lower part's handle
  std::uint64_t granules_;
  std::uint64_t granules_free_;
  std::uint64_t blocks_used_ = 0;
};

}  // namespace holdfast::numa
