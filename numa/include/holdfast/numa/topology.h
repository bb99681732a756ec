// The machine as the kernel describes it: NUMA nodes, their cores, memory and distances, and the network
// devices with the node each hangs on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast::numa {

/// A NUMA node by the number the operating system gives it (as in /sys/devices/system/node/nodeN).
struct NodeId {
  std::uint32_t value = 0;
  friend auto operator<=>(const NodeId&, const NodeId&) = default;
};

/// Distances where the firmware gives none.
inline constexpr std::uint32_t kLocalDistance = 10;
inline constexpr std::uint32_t kRemoteDistance = 20;

/// Huge pages of one size on one node.
struct HugePages {
  std::uint64_t page_bytes = 0;
  std::uint64_t total = 0;  ///< pages reserved on the node
  std::uint64_t free = 0;   ///< of these, not in use now
};

struct Node {
  NodeId id;
  /// Logical processors that belong to it, by the operating system's numbers, ascending; each belongs to
  /// one node. Empty for memory without processors.
  std::vector<std::uint32_t> cpus;
  std::uint64_t memory_bytes = 0;  ///< 0: a node without memory
  std::vector<HugePages>
      huge_pages;  ///< one per size the kernel knows, ascending; empty for synthetic machines
};

struct Nic {
  std::string name;  ///< "eth0", "mlx5_0"
  std::string kind;  ///< "ethernet", "infiniband" (any verbs device, and IP over one) or "other"
  std::optional<NodeId>
      node;  ///< the nearest node; nothing where the machine does not say, as for virtual ones
};

/// A snapshot; copies share it. Safe to read from any thread.
class Topology {
 public:
  /// This machine. Errors: system (hwloc cannot read it).
  static Result<Topology> discover();
  /// A machine from hwloc's synthetic description, e.g. "numa:4 core:2 pu:1". Errors: invalid.
  static Result<Topology> from_synthetic(std::string_view description);
  /// A machine saved by `lstopo FILE.xml`. Errors: invalid, not_found.
  static Result<Topology> from_xml_file(std::string_view path);

  const std::vector<Node>& nodes() const noexcept;  ///< ascending by id; never empty
  const std::vector<Nic>& nics() const noexcept;
  const Node* find(NodeId id) const noexcept;  ///< nullptr where there is none

  /// Relative latency as the firmware gives it (10 = local); 10 and 20 where it gives none.
  std::uint32_t distance(NodeId from, NodeId to) const noexcept;
  /// All nodes with memory, nearest first, ties by id; begins with `from` itself if it has memory.
  std::vector<NodeId> nearest_with_memory(NodeId from) const;
  /// The node a logical processor belongs to; the first node for one that is unknown.
  NodeId node_of_cpu(std::uint32_t cpu) const noexcept;
  /// The node the calling thread runs on at this moment; the first one of a machine that is not this one.
  NodeId current_node() const noexcept;

  /// False for synthetic and XML machines: memory cannot be bound there.
  bool is_this_machine() const noexcept;
  std::uint64_t memory_bytes() const noexcept;  ///< of all nodes together

  struct Impl;  ///< private to the floor

 private:
  explicit Topology(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace holdfast::numa
