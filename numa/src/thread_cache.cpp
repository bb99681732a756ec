#include "thread_cache.h"

namespace holdfast::numa {

void ThreadCache::release_list(Tlsf& tlsf, BlockHandle handle, std::uint64_t granules) noexcept {
  while (handle != kNoBlock) {
    // Before the release: that may give the descriptor away.
    const BlockHandle next = tlsf.block(handle).list_next;
    tlsf.release(handle);
    --counts_[granules];
    granules_ -= granules;
    --blocks_;
    handle = next;
  }
}

void ThreadCache::give_back_half(Tlsf& tlsf, std::uint64_t granules) noexcept {
  BlockHandle last_kept = heads_[granules];
  if (last_kept == kNoBlock) return;
  for (std::uint32_t kept = 1; kept < counts_[granules] / 2; ++kept)
    last_kept = tlsf.block(last_kept).list_next;
  const BlockHandle rest = tlsf.block(last_kept).list_next;
  tlsf.block(last_kept).list_next = kNoBlock;
  release_list(tlsf, rest, granules);
}

void ThreadCache::give_back_all(Tlsf& tlsf) noexcept {
  for (std::uint64_t granules = 1; granules <= kLargest; ++granules) {
    const BlockHandle head = heads_[granules];
    heads_[granules] = kNoBlock;
    release_list(tlsf, head, granules);
  }
}

}  // namespace holdfast::numa
