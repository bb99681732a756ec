// What eviction policies are made of: queues linked through the nodes of one array, and an index of the nodes
// by key. A node and its part of the index are about 50 bytes; allocation happens only when an array doubles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast {

/// A first-in first-out list of nodes, with sums kept. A node is in one queue or none; its policy knows
/// which.
struct EvictionQueue {
  std::uint32_t newest = UINT32_MAX;
  std::uint32_t oldest = UINT32_MAX;
  std::size_t count = 0;
  std::uint64_t bytes = 0;
};

/// The nodes of one policy. Nodes are named by their place in the array, which they keep until removed;
/// references to them end with the next add().
class EvictionSlab {
 public:
  using Place = std::uint32_t;
  static constexpr Place kNone = UINT32_MAX;

  struct Node {
    std::uint64_t key = 0;
    std::uint64_t bytes = 0;
    Place newer = kNone;
    Place older = kNone;
    std::uint8_t queue = 0;      ///< for the policy
    std::uint8_t frequency = 0;  ///< for the policy
  };
  static_assert(sizeof(Node) == 32);

  EvictionSlab();

  /// The node of `key`, or kNone.
  Place find(std::uint64_t key) const noexcept;

  Node& operator[](Place place) noexcept { return nodes_[place]; }

  /// A node for a key that has none. It is in no queue.
  Place add(std::uint64_t key, std::uint64_t bytes);

  /// The node is in no queue.
  void remove(Place place) noexcept;

  /// As the newest of `queue`; the node is in no queue.
  void append(EvictionQueue& queue, Place place) noexcept;

  /// The node is in `queue`.
  void take(EvictionQueue& queue, Place place) noexcept;

 private:
  /// Open addressing, linear probing: an empty cell ends every search. Half of the hash is kept, so that
  /// other nodes are hardly ever looked at and growing looks at none.
  struct Cell {
    std::uint32_t hash = 0;
    Place place = kNone;
  };

  static std::uint32_t hash(std::uint64_t key) noexcept;
  void put(Cell cell) noexcept;
  void grow();

  std::vector<Node> nodes_;
  Place free_ = kNone;  ///< removed nodes, linked by `older`
  std::vector<Cell> cells_;
  std::size_t mask_;
  std::size_t used_ = 0;
};

}  // namespace holdfast
