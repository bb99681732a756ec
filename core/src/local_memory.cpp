#include "src/local_memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "holdfast/base/units.h"
#include "src/block.h"

namespace holdfast {

Result<std::shared_ptr<LocalMemory>> LocalMemory::create(const numa::Topology& topology,
                                                         const numa::ArenaOptions& options,
                                                         std::uint32_t pins, std::uint32_t members) {
  std::shared_ptr<LocalMemory> made(new LocalMemory);
  made->topology_ = topology;
  HOLDFAST_TRY(made->arena_, numa::Arena::create(topology, options));
  HOLDFAST_TRY(made->ledger_, Ledger::create(pins));
  const auto segments = made->arena_->segments();
  for (const numa::Segment& segment : segments)
    made->allocators_.push_back(std::make_unique<numa::Allocator>(segment.bytes));
  for (const auto& from : topology.nodes()) {
    std::vector<std::size_t>& order = made->nearest_[from.id];
    for (const numa::NodeId node : topology.nearest_with_memory(from.id))
      if (const auto found = made->segment_on(node)) order.push_back(*found);
    for (std::size_t i = 0; i < segments.size(); ++i)
      if (std::ranges::find(order, i) == order.end()) order.push_back(i);
  }
  made->views_ = std::vector<std::atomic<View*>>(members);
  return made;
}

LocalMemory::~LocalMemory() = default;

void LocalMemory::close_descriptors() noexcept {
  arena_->close_descriptors();
  ledger_.close_descriptor();
}

std::optional<std::size_t> LocalMemory::segment_on(numa::NodeId node) const noexcept {
  const auto segments = arena_->segments();
  for (std::size_t i = 0; i < segments.size(); ++i)
    if (segments[i].node == node) return i;
  return std::nullopt;
}

numa::NodeId LocalMemory::next_node() noexcept {
  const auto segments = arena_->segments();
  return segments[next_node_.fetch_add(1, std::memory_order_relaxed) % segments.size()].node;
}

const std::vector<std::size_t>& LocalMemory::nearest_segments(std::optional<numa::NodeId> node) const {
  const auto segments = arena_->segments();
  numa::NodeId from = node.value_or(segments[0].node);
  // Which may have no segment: then the nearest that has one is first.
  if (!node && segments.size() > 1) from = topology_->current_node();
  const auto known = nearest_.find(from);
  return known == nearest_.end() ? nearest_.begin()->second : known->second;
}

std::optional<Block> LocalMemory::try_allocate(std::uint64_t bytes, std::uint64_t alignment,
                                               std::optional<numa::NodeId> node, std::size_t most) {
  if (node && !segment_on(*node)) return std::nullopt;
  const auto segments = arena_->segments();
  const auto& order = nearest_segments(node);
  for (std::size_t i = 0; i < std::min(order.size(), most); ++i) {
    const std::size_t segment = order[i];
    if (const auto extent = allocators_[segment]->allocate(bytes, alignment)) {
      return Block{segments[segment].base + extent->offset, segments[segment].first + extent->offset,
                   static_cast<std::uint32_t>(segment), *extent, i != 0};
    }
  }
  return std::nullopt;
}

bool LocalMemory::can_ever_fit(std::uint64_t bytes, std::optional<numa::NodeId> node) const noexcept {
  const auto holds = [bytes](const numa::Segment& segment) { return bytes <= segment.bytes; };
  return (!node || segment_on(*node)) && std::ranges::any_of(arena_->segments(), holds);
}

Result<Block> LocalMemory::allocate(std::uint64_t bytes, std::uint64_t alignment,
                                    std::optional<numa::NodeId> node) {
  constexpr std::string_view kOperation = "LocalMemory::allocate";
  const auto segments = arena_->segments();
  if (node && !segment_on(*node))
    return fail(
        Code::invalid, kOperation,
        fmt::format("the arena has no segment on node {}; open the store with that node among its nodes "
                    "(HOLDFAST_NODES), or leave the node out",
                    node->value));
  if (const auto block = try_allocate(bytes, alignment, node)) return *block;
  std::uint64_t largest_segment = 0, used = 0, largest_free = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const numa::AllocatorStats stats = allocators_[i]->stats();
    largest_segment = std::max(largest_segment, segments[i].bytes);
    used += stats.bytes_used;
    largest_free = std::max(largest_free, stats.largest_free);
  }
  if (bytes > largest_segment)
    return fail(
        Code::invalid, kOperation,
        fmt::format("{} do not fit into any segment of the arena, the largest is {}; open the store with a "
                    "larger arena (HOLDFAST_ARENA), or split the object",
                    format_bytes(bytes), format_bytes(largest_segment)));
  return fail(
      Code::full, kOperation,
      fmt::format(
          "no room for {}: {} of {} are used, the largest hole is {}; erase objects, release pins, or "
          "open the store with a larger arena (HOLDFAST_ARENA)",
          format_bytes(bytes), format_bytes(used), format_bytes(arena_->bytes()),
          format_bytes(largest_free)));
}

HeldBlock::~HeldBlock() {
  if (!clean_)
    for (std::uint64_t at = 0; at + kBlockHeaderBytes <= block_.extent.bytes; at += kCacheLine)
      if (id_in_header(block_.address + at)) spoil_header(block_.address + at);
  memory_->free(block_);
}

View* LocalMemory::add_view(std::unique_ptr<View> view) {
  const std::lock_guard lock(owned_mutex_);
  std::atomic<View*>& place = views_[view->owner.value];
  if (View* const there = place.load(std::memory_order_relaxed)) return there;
  View* const added = view.get();
  owned_views_.push_back(std::move(view));
  place.store(added, std::memory_order_release);
  return added;
}

}  // namespace holdfast
