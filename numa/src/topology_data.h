// What a Topology holds: plain values, read once from hwloc and never changed.
#pragma once

#include <vector>

#include "holdfast/numa/topology.h"

namespace holdfast::numa {

struct Topology::Impl {
  std::vector<Node> nodes;  // ascending by id, never empty
  std::vector<Nic> nics;
  std::vector<std::uint32_t> distances;  // nodes.size() squared, row: from
  std::vector<NodeId> node_of_cpu;       // by logical processor
  bool this_machine = false;

  /// Position in `nodes`, or nodes.size().
  std::size_t position(NodeId id) const noexcept;
};

}  // namespace holdfast::numa
