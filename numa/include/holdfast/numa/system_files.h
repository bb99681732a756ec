// What the kernel tells about memory in /proc, /sys and the cgroup file system, read anew at each call.
// The root of these trees comes in by constructor, so that tests can put their own files there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/numa/topology.h"

namespace holdfast::numa {

/// A bound on memory and what sets it, for messages ("the machine", "the cgroup /sys/fs/cgroup/job").
struct MemoryLimit {
  std::uint64_t bytes = UINT64_MAX;
  std::string source = "the machine";
};

/// Stateless but for the root; safe from any thread. Values that cannot be read are nothing, never zero.
class SystemFiles {
 public:
  explicit SystemFiles(std::string root = "") : root_(std::move(root)) {}

  /// The machine's memory, or the limit of this process's memory cgroup (v2 or v1) where that is lower.
  MemoryLimit memory_limit() const;
  /// What can still be taken without pushing the machine or the cgroup into shortage.
  std::optional<std::uint64_t> memory_available() const;
  /// The same for one node; page cache counts as available.
  std::optional<std::uint64_t> node_available(NodeId node) const;
  std::optional<std::uint64_t> node_total(NodeId node) const;

  /// Huge pages of the node, ascending by size.
  std::vector<HugePages> huge_pages(NodeId node) const;
  /// Devices that speak verbs, ascending by name. hwloc leaves out those on no bus, such as soft-RoCE.
  std::vector<Nic> verbs_devices() const;
  /// Whether the kernel would put transparent huge pages behind a memfd that asks for them.
  bool transparent_memfd_allowed() const;

  /// Where the pool of huge pages of one size on one node is set, for messages.
  static std::string huge_pages_path(NodeId node, std::uint64_t page_bytes);
  static constexpr std::string_view kTransparentMemfdPath =
      "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

 private:
  struct Cgroup;
  std::vector<Cgroup> memory_cgroups() const;
  std::optional<std::string> read(std::string_view path) const;
  std::optional<std::uint64_t> read_number(std::string_view path) const;

  std::string root_;
};

}  // namespace holdfast::numa
