// Puts the threads' caches in front of the TLSF structure.
//
// Locks, in the order they are taken: registry (which caches there are), a cache's own, the TLSF structure's.
#include "holdfast/numa/allocator.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <vector>

#include "holdfast/base/check.h"
#include "thread_cache.h"
#include "tlsf.h"

namespace holdfast::numa {
namespace {

constexpr std::uint64_t kMostAlignment = 1_GiB;
/// What a thread may keep from the others: 256 KiB, and of a small range not more than this share.
constexpr std::uint64_t kMostCached = 256_KiB / Allocator::kGranule;
constexpr std::uint64_t kShareCached = 64;
/// Granules fetched at once for an empty cache, so that one lock pays for several blocks.
constexpr std::uint64_t kRefill = 4_KiB / Allocator::kGranule;
constexpr std::uint64_t kMostRefill = 16;  // blocks

Extent extent(const Block& block, BlockHandle handle) {
  return {block.begin * Allocator::kGranule, block.granules * Allocator::kGranule, handle};
}

}  // namespace

struct Allocator::Impl : std::enable_shared_from_this<Allocator::Impl> {
  explicit Impl(std::uint64_t bytes) : tlsf(bytes / kGranule) {}

  /// The calling thread's cache; nullptr where the thread is ending and has given it up.
  ThreadCache* cache();
  ThreadCache* make_cache();
  /// Gives a cache's blocks back and destroys it.
  void retire(ThreadCache* cache);

  std::optional<Extent> allocate_small(ThreadCache& from, std::uint64_t granules);
  BlockHandle allocate_from_all(std::uint64_t granules, std::uint64_t alignment);
  void free_small(ThreadCache& to, Block& block, BlockHandle handle);

  static std::uint64_t next_id() {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  const std::uint64_t id = next_id();  // never used twice, so a thread cannot take one allocator for another
  std::mutex registry_mutex;
  std::vector<std::unique_ptr<ThreadCache>> caches;  // under registry_mutex
  std::mutex tlsf_mutex;
  Tlsf tlsf;  // under tlsf_mutex, but for block() and find()
};

namespace {

/// The caches of one thread, one for each allocator it has used. Whichever of thread and allocator ends
/// first: the allocator owns the cache, the thread only returns to allocators that are still there.
struct OwnCache {
  std::uint64_t id = 0;
  ThreadCache* cache = nullptr;
};

// Apart from the list, and trivial, so that the way to it is one comparison and no guard.
constinit thread_local OwnCache latest_cache;
constinit thread_local bool thread_is_ending = false;

template <class Impl>
struct OwnCaches {
  struct Entry {
    OwnCache own;
    std::weak_ptr<Impl> allocator;
  };
  std::vector<Entry> entries;

  ~OwnCaches() {
    thread_is_ending = true;
    latest_cache = {};
    for (const Entry& entry : entries) {
      if (const auto allocator = entry.allocator.lock()) allocator->retire(entry.own.cache);
    }
  }
};

}  // namespace

ThreadCache* Allocator::Impl::cache() {
  if (latest_cache.id == id) [[likely]]
    return latest_cache.cache;
  return make_cache();
}

ThreadCache* Allocator::Impl::make_cache() {
  if (thread_is_ending) return nullptr;
  static thread_local OwnCaches<Impl> own;
  for (const auto& entry : own.entries) {
    if (entry.own.id != id) continue;
    latest_cache = entry.own;
    return entry.own.cache;
  }
  std::erase_if(own.entries, [](const auto& entry) { return entry.allocator.expired(); });
  auto made = std::make_unique<ThreadCache>(std::min(kMostCached, tlsf.granules() / kShareCached));
  latest_cache = {id, made.get()};
  own.entries.push_back({latest_cache, weak_from_this()});
  const std::lock_guard lock(registry_mutex);
  caches.push_back(std::move(made));
  return latest_cache.cache;
}

void Allocator::Impl::retire(ThreadCache* cache) {
  const std::lock_guard registry_lock(registry_mutex);
  {
    const std::lock_guard cache_lock(cache->lock);
    const std::lock_guard tlsf_lock(tlsf_mutex);
    cache->give_back_all(tlsf);
  }
  std::erase_if(caches, [cache](const auto& candidate) { return candidate.get() == cache; });
}

std::optional<Extent> Allocator::Impl::allocate_small(ThreadCache& from, std::uint64_t granules) {
  const std::lock_guard cache_lock(from.lock);
  const ThreadCache::Taken cached = from.pop(tlsf, granules);
  if (cached.handle != kNoBlock) [[likely]] {
    cached.block->state.store(BlockState::used, std::memory_order_relaxed);
    return extent(*cached.block, cached.handle);
  }
  const std::lock_guard tlsf_lock(tlsf_mutex);
  const BlockHandle wanted = tlsf.allocate(granules, 1);
  if (wanted == kNoBlock) return std::nullopt;
  const Extent result = extent(tlsf.block(wanted), wanted);
  // Stocks are laid in only while there is plenty.
  if (tlsf.granules_free() < tlsf.granules() / kShareCached) return result;
  const std::uint64_t more = std::min(kMostRefill, kRefill / granules);
  for (std::uint64_t i = 1; i < more; ++i) {
    const BlockHandle handle = tlsf.allocate(granules, 1);
    if (handle == kNoBlock) break;
    Block& block = tlsf.block(handle);
    block.state.store(BlockState::cached, std::memory_order_relaxed);
    from.push(block, handle);
  }
  return result;
}

/// Takes everything back from all caches and tries once more, all in one step: what is refused here does
/// not lie in any cache.
BlockHandle Allocator::Impl::allocate_from_all(std::uint64_t granules, std::uint64_t alignment) {
  const std::lock_guard registry_lock(registry_mutex);
  for (const auto& cache : caches) cache->lock.lock();
  BlockHandle handle = kNoBlock;
  {
    const std::lock_guard tlsf_lock(tlsf_mutex);
    for (const auto& cache : caches) cache->give_back_all(tlsf);
    handle = tlsf.allocate(granules, alignment);
  }
  for (const auto& cache : caches) cache->lock.unlock();
  return handle;
}

void Allocator::Impl::free_small(ThreadCache& to, Block& block, BlockHandle handle) {
  const std::uint64_t granules = block.granules;
  const std::lock_guard cache_lock(to.lock);
  to.push(block, handle);
  if (!to.class_is_full(granules) && !to.is_full()) [[likely]]
    return;
  const std::lock_guard tlsf_lock(tlsf_mutex);
  if (to.is_full()) {
    to.give_back_all(tlsf);
  } else {
    to.give_back_half(tlsf, granules);
  }
}

Allocator::Allocator(std::uint64_t bytes) : impl_(std::make_shared<Impl>(bytes)) {}

Allocator::~Allocator() = default;

std::optional<Extent> Allocator::allocate(std::uint64_t bytes, std::uint64_t alignment) {
  HOLDFAST_CHECK(std::has_single_bit(alignment) && alignment >= kGranule && alignment <= kMostAlignment,
                 "an alignment is a power of two from one granule to 1 GiB");
  if (bytes > impl_->tlsf.granules() * kGranule) return std::nullopt;
  const std::uint64_t granules = std::max<std::uint64_t>(1, align_up(bytes, kGranule) / kGranule);
  const std::uint64_t alignment_granules = alignment / kGranule;
  BlockHandle handle = kNoBlock;
  ThreadCache* const cache =
      granules <= ThreadCache::kLargest && alignment_granules == 1 ? impl_->cache() : nullptr;
  if (cache != nullptr) [[likely]] {
    const auto small = impl_->allocate_small(*cache, granules);
    if (small) [[likely]]
      return small;
  } else {
    const std::lock_guard lock(impl_->tlsf_mutex);
    handle = impl_->tlsf.allocate(granules, alignment_granules);
  }
  if (handle == kNoBlock) handle = impl_->allocate_from_all(granules, alignment_granules);
  if (handle == kNoBlock) return std::nullopt;
  return extent(impl_->tlsf.block(handle), handle);
}

void Allocator::free(const Extent& extent) {
  Block* const block = impl_->tlsf.find(extent.handle);
  HOLDFAST_CHECK(block != nullptr, "what is freed was handed out by this allocator");
  // Exactly one of several threads that free the same block gets past this.
  BlockState expected = BlockState::used;
  const bool was_used =
      block->state.compare_exchange_strong(expected, BlockState::cached, std::memory_order_acq_rel);
  HOLDFAST_CHECK(was_used, "what is freed has not been freed before");
  HOLDFAST_CHECK(block->begin * kGranule == extent.offset && block->granules * kGranule == extent.bytes,
                 "what is freed is what was handed out");
  ThreadCache* const cache = block->granules <= ThreadCache::kLargest ? impl_->cache() : nullptr;
  if (cache != nullptr) return impl_->free_small(*cache, *block, extent.handle);
  const std::lock_guard lock(impl_->tlsf_mutex);
  impl_->tlsf.release(extent.handle);
}

std::vector<Extent> Allocator::holes() {
  (void)impl_->allocate_from_all(impl_->tlsf.granules() + 1, 1);  // never fits: gives the caches back
  const std::lock_guard lock(impl_->tlsf_mutex);
  std::vector<Extent> holes;
  const Tlsf& tlsf = impl_->tlsf;
  for (BlockHandle at = tlsf.lowest(); at != kNoBlock; at = tlsf.block(at).next)
    if (tlsf.block(at).state.load(std::memory_order_relaxed) == BlockState::free)
      holes.push_back(extent(tlsf.block(at), at));
  return holes;
}

bool Allocator::claim(const Extent& hole) {
  const std::lock_guard lock(impl_->tlsf_mutex);
  return impl_->tlsf.claim(hole.handle, hole.offset / kGranule, hole.bytes / kGranule);
}

Extent Allocator::grow(const Extent& grown) {
  const std::lock_guard lock(impl_->tlsf_mutex);
  impl_->tlsf.grow(grown.handle);
  return extent(impl_->tlsf.block(grown.handle), grown.handle);
}

std::optional<Allocator::Exchanged> Allocator::exchange(const Extent& space, const Extent& block,
                                                        std::uint64_t alignment) {
  const std::lock_guard lock(impl_->tlsf_mutex);
  Tlsf& tlsf = impl_->tlsf;
  const std::uint64_t skipped = align_up(space.offset, alignment) - space.offset;
  if (skipped >= space.bytes || tlsf.block(space.handle).next != block.handle) return std::nullopt;
  BlockHandle below = space.handle;
  if (skipped > 0) below = tlsf.release_front(below, skipped / kGranule);
  if (below == kNoBlock || !tlsf.exchange(below, block.handle)) return std::nullopt;
  return Exchanged{extent(tlsf.block(below), below), extent(tlsf.block(block.handle), block.handle)};
}

AllocatorStats Allocator::stats() const {
  AllocatorStats stats;
  stats.bytes_total = impl_->tlsf.granules() * kGranule;
  const std::lock_guard registry_lock(impl_->registry_mutex);
  for (const auto& cache : impl_->caches) cache->lock.lock();
  {
    const std::lock_guard tlsf_lock(impl_->tlsf_mutex);
    const Tlsf& tlsf = impl_->tlsf;
    std::uint64_t cached_blocks = 0;
    for (const auto& cache : impl_->caches) {
      stats.bytes_cached += cache->granules() * kGranule;
      cached_blocks += cache->blocks();
    }
    stats.bytes_used = (tlsf.granules() - tlsf.granules_free()) * kGranule - stats.bytes_cached;
    stats.largest_free = tlsf.largest_free() * kGranule;
    stats.extents = tlsf.blocks_used() - cached_blocks;
  }
  for (const auto& cache : impl_->caches) cache->lock.unlock();
  return stats;
}

}  // namespace holdfast::numa
