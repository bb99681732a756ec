// This process's memory as pins see it: the arena with its allocators, the ledger, and the views of
// neighbours. Pins hold it, so that they may outlive their store.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/numa/allocator.h"
#include "holdfast/numa/arena.h"
#include "holdfast/numa/topology.h"
#include "src/ledger.h"
#include "src/view.h"

namespace holdfast {

/// A piece of the arena that was allocated.
struct Block {
  std::byte* address = nullptr;
  std::uint64_t location = 0;  ///< offset in the arena
  std::uint32_t segment = 0;
  numa::Extent extent;
  bool elsewhere = false;  ///< another segment was nearer, and full
};

class LocalMemory {
 public:
  /// `members`: how many views there can be. Errors: as Arena::create and Ledger::create.
  static Result<std::shared_ptr<LocalMemory>> create(const numa::Topology& topology,
                                                     const numa::ArenaOptions& options, std::uint32_t pins,
                                                     std::uint32_t members);
  ~LocalMemory();

  const numa::Arena& arena() const noexcept { return *arena_; }
  void start_prefault() { arena_->start_prefault(); }  ///< see numa::Arena
  void stop_prefault() { arena_->stop_prefault(); }    ///< likewise
  /// For memory that no other process is to map, as of simulated members: closes its descriptors.
  void close_descriptors() noexcept;
  Ledger& ledger() noexcept { return ledger_; }
  numa::Allocator& allocator(std::size_t segment) const noexcept { return *allocators_[segment]; }
  numa::AllocatorStats allocator_stats(std::size_t segment) const { return allocators_[segment]->stats(); }

  /// On `node`, or the calling thread's node; the nearest one with room where that is full. Any thread.
  /// Errors: full (with the sizes), invalid (no such node in the arena, larger than any segment).
  Result<Block> allocate(std::uint64_t bytes, std::uint64_t alignment, std::optional<numa::NodeId> node);
  /// The same without the words, for who tries again: nothing where there is no room, or no such node.
  /// `most`: how many segments, nearest first, are tried.
  std::optional<Block> try_allocate(std::uint64_t bytes, std::uint64_t alignment,
                                    std::optional<numa::NodeId> node, std::size_t most = SIZE_MAX);
  /// All segments, as they are tried for `node`, or for the calling thread.
  const std::vector<std::size_t>& nearest_segments(std::optional<numa::NodeId> node) const;
  /// False for what allocate() refuses as invalid.
  bool can_ever_fit(std::uint64_t bytes, std::optional<numa::NodeId> node) const noexcept;
  void free(const Block& block) { allocators_[block.segment]->free(block.extent); }

  /// The arena's nodes, one after the other. Any thread.
  numa::NodeId next_node() noexcept;

  /// An object is to be put into this block. What is copied here from elsewhere, or comes back from disk, is
  /// nobody's put.
  void count_put(const Block& block) noexcept {
    if (block.elsewhere) placed_elsewhere_.fetch_add(1, std::memory_order_relaxed);
  }
  /// Puts whose blocks do not lie where they were asked for.
  std::uint64_t placed_elsewhere() const noexcept {
    return placed_elsewhere_.load(std::memory_order_relaxed);
  }

  /// A member's arena if it is mapped here; nullptr else. Any thread.
  View* view(MemberId member) const noexcept { return views_[member.value].load(std::memory_order_acquire); }
  /// Takes a view in; the one that is there already stays and is returned.
  View* add_view(std::unique_ptr<View> view);

 private:
  LocalMemory() = default;
  std::optional<std::size_t> segment_on(numa::NodeId node) const noexcept;

  std::optional<numa::Topology> topology_;
  std::unique_ptr<numa::Arena> arena_;
  std::vector<std::unique_ptr<numa::Allocator>> allocators_;  ///< one a segment
  std::map<numa::NodeId, std::vector<std::size_t>> nearest_;  ///< for each node, all segments, nearest first
  Ledger ledger_;
  std::atomic<std::uint64_t> placed_elsewhere_{0};
  std::atomic<std::uint64_t> next_node_{0};
  std::vector<std::atomic<View*>> views_;
  std::mutex owned_mutex_;
  std::vector<std::unique_ptr<View>> owned_views_;
};

/// A block that is freed with its last holder: the landing place of a remote read.
///
/// What lands are headers, too, and they must not stay: whoever reads this place by a stale reference would
/// get a header from elsewhere, and its owner, reading so, one of his own to where its object lay before,
/// good, over a payload that is not there yet.
class HeldBlock {
 public:
  HeldBlock(std::shared_ptr<LocalMemory> memory, const Block& block) noexcept
      : memory_(std::move(memory)), block_(block) {}
  /// Spoils the headers that lie there, unless there are none.
  ~HeldBlock();
  HeldBlock(const HeldBlock&) = delete;
  HeldBlock& operator=(const HeldBlock&) = delete;
  std::byte* address() const noexcept { return block_.address; }

  /// Whether headers may still lie there when it goes: yes, unless it is said that all have been spoiled. To
  /// find them takes a look at every line.
  void set_clean(bool clean = true) noexcept { clean_ = clean; }

 private:
  std::shared_ptr<LocalMemory> memory_;
  Block block_;
  bool clean_ = false;
};

}  // namespace holdfast
