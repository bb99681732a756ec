// Small blocks that one thread has given back and will most likely ask for again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

#include "tlsf.h"

namespace holdfast::numa {

/// Taken by its thread at every step, by others only when the range is full: nearly always free, held for
/// some nanoseconds.
class SpinLock {
 public:
  void lock() noexcept {
    while (held_.exchange(true, std::memory_order_acquire)) {
      while (held_.load(std::memory_order_relaxed)) std::this_thread::yield();
    }
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

/// One list for each size from 1 to kLargest granules, threaded through the blocks' descriptors. Everything
/// but `lock` is under `lock`.
class ThreadCache {
 public:
  static constexpr std::uint64_t kLargest = 64;  ///< granules: 4 KiB

  explicit ThreadCache(std::uint64_t most_granules) : most_granules_(most_granules) {}

  SpinLock lock;

  struct Taken {
    BlockHandle handle = kNoBlock;
    Block* block = nullptr;
  };
  /// A block of exactly this size in state `cached`, the one given back last; kNoBlock where there is none.
  Taken pop(const Tlsf& tlsf, std::uint64_t granules) noexcept {
    const BlockHandle handle = heads_[granules];
    if (handle == kNoBlock) return {};
    Block& block = tlsf.block(handle);
    heads_[granules] = block.list_next;
    --counts_[granules];
    granules_ -= granules;
    --blocks_;
    return {handle, &block};
  }

  void push(Block& block, BlockHandle handle) noexcept {
    block.list_next = heads_[block.granules];
    heads_[block.granules] = handle;
    ++counts_[block.granules];
    granules_ += block.granules;
    ++blocks_;
  }

  /// More of this size, or of all sizes, than a thread should keep from the others.
  bool class_is_full(std::uint64_t granules) const noexcept {
    return counts_[granules] * granules > most_granules_ / kSharesOfClass;
  }
  bool is_full() const noexcept { return granules_ > most_granules_; }

  /// Gives back the older half of one size; under the Tlsf's lock, too.
  void give_back_half(Tlsf& tlsf, std::uint64_t granules) noexcept;
  /// Gives back everything; under the Tlsf's lock, too.
  void give_back_all(Tlsf& tlsf) noexcept;

  std::uint64_t granules() const noexcept { return granules_; }
  std::uint64_t blocks() const noexcept { return blocks_; }

 private:
  static constexpr std::uint64_t kSharesOfClass = 8;

  void release_list(Tlsf& tlsf, BlockHandle handle, std::uint64_t granules) noexcept;

  const std::uint64_t most_granules_;
  std::uint64_t granules_ = 0;
  std::uint64_t blocks_ = 0;
  std::array<BlockHandle, kLargest + 1> heads_{};
  std::array<std::uint32_t, kLargest + 1> counts_{};
};

}  // namespace holdfast::numa
