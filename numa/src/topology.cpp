#include "holdfast/numa/topology.h"

#include <sched.h>

#include <algorithm>

#include "topology_data.h"

namespace holdfast::numa {

std::size_t Topology::Impl::position(NodeId id) const noexcept {
  const auto at = std::lower_bound(nodes.begin(), nodes.end(), id,
                                   [](const Node& node, NodeId wanted) { return node.id < wanted; });
  return at != nodes.end() && at->id == id ? static_cast<std::size_t>(at - nodes.begin()) : nodes.size();
}

const std::vector<Node>& Topology::nodes() const noexcept { return impl_->nodes; }

const std::vector<Nic>& Topology::nics() const noexcept { return impl_->nics; }

const Node* Topology::find(NodeId id) const noexcept {
  const std::size_t at = impl_->position(id);
  return at < impl_->nodes.size() ? &impl_->nodes[at] : nullptr;
}

std::uint32_t Topology::distance(NodeId from, NodeId to) const noexcept {
  const std::size_t count = impl_->nodes.size();
  const std::size_t row = impl_->position(from), column = impl_->position(to);
  if (row >= count || column >= count) return from == to ? kLocalDistance : kRemoteDistance;
  return impl_->distances[row * count + column];
}

std::vector<NodeId> Topology::nearest_with_memory(NodeId from) const {
  std::vector<NodeId> order;
  for (const Node& node : impl_->nodes) {
    if (node.memory_bytes > 0) order.push_back(node.id);
  }
  // Stable, and nodes come ascending by id: so ties stay so. A node is nearest to itself whatever the
  // firmware claims.
  std::stable_sort(order.begin(), order.end(), [&](NodeId a, NodeId b) {
    if ((a == from) != (b == from)) return a == from;
    return distance(from, a) < distance(from, b);
  });
  return order;
}

NodeId Topology::node_of_cpu(std::uint32_t cpu) const noexcept {
  return cpu < impl_->node_of_cpu.size() ? impl_->node_of_cpu[cpu] : impl_->nodes.front().id;
}

NodeId Topology::current_node() const noexcept {
  if (!is_this_machine()) return impl_->nodes.front().id;
  // From the restartable-sequence area or the vDSO: no system call.
  const int cpu = ::sched_getcpu();
  return cpu < 0 ? impl_->nodes.front().id : node_of_cpu(static_cast<std::uint32_t>(cpu));
}

bool Topology::is_this_machine() const noexcept { return impl_->this_machine; }

std::uint64_t Topology::memory_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const Node& node : impl_->nodes) sum += node.memory_bytes;
  return sum;
}

}  // namespace holdfast::numa
