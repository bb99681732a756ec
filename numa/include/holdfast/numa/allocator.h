// Divides one range of offsets (a segment) into blocks. Constant time; all bookkeeping lies outside the
// range, so that readers of the blocks never see it. Two-level segregated fit (Masmano et al., ECRTS 2004)
// with a per-thread cache of small blocks in front.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "holdfast/base/units.h"

namespace holdfast::numa {

/// A block handed out: what it covers, and the allocator's own name for it.
struct Extent {
  std::uint64_t offset = 0;  ///< from the start of the range
  std::uint64_t bytes = 0;   ///< usable size: what was asked for, rounded up to kGranule
  std::uint32_t handle = 0;  ///< for free(); opaque
};

struct AllocatorStats {
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_used = 0;    ///< in extents handed out, with rounding
  std::uint64_t bytes_cached = 0;  ///< free, but in some thread's cache
  std::uint64_t largest_free = 0;  ///< the largest block that could be had now (a lower bound)
  std::uint64_t extents = 0;       ///< handed out
};

/// Any thread may allocate; any thread may free what any other allocated.
class Allocator {
 public:
  static constexpr std::uint64_t kGranule = kCacheLine;  ///< every offset and size is a multiple of it

  /// `bytes` is rounded down to a multiple of kGranule. Offsets handed out lie in [0, bytes).
  explicit Allocator(std::uint64_t bytes);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// A block of at least `bytes` at a multiple of `alignment` (a power of two from kGranule to 1 GiB), or
  /// nothing where there is no hole large enough, thread caches given back first. 0 bytes give one granule.
  std::optional<Extent> allocate(std::uint64_t bytes, std::uint64_t alignment = kGranule);

  /// Gives a block back. Freeing twice, or what was never handed out, stops the process; a stale extent whose
  /// place and handle have been handed out again cannot be told from the new one.
  void free(const Extent& extent);

  AllocatorStats stats() const;

  /// What is free now, in the order of the offsets, thread caches given back first. Takes time in proportion
  /// to all blocks: for making room in other ways.
  std::vector<Extent> holes();

  // For who moves blocks, to join what is free: a hole is claimed and handed upwards from block to block.

  /// Hands out a hole as a whole, if it still is one.
  bool claim(const Extent& hole);
  /// Adds the hole right above an extent to it, if there is one: the extent as it is then.
  Extent grow(const Extent& extent);
  struct Exchanged {
    Extent block, space;
  };
  /// `block`, right above `space`, goes down to the first multiple of `alignment` in it; what lies below that
  /// is freed, and the space is above the block afterwards. The caller has both extents, and moves the bytes.
  /// Nothing, and nothing done, if they are no neighbours or the block cannot go any lower.
  std::optional<Exchanged> exchange(const Extent& space, const Extent& block, std::uint64_t alignment);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with nobody but, for a moment, a thread that ends
};

}  // namespace holdfast::numa
