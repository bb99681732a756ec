// A member's own memory: one segment per NUMA node, bound to the node, on the largest pages to be had.
// Only the owner writes it. What it got is reported exactly; a fallback is never silent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/file.h"
#include "holdfast/base/result.h"
#include "holdfast/base/units.h"
#include "holdfast/numa/topology.h"

namespace holdfast::numa {

enum class Pages : std::uint8_t { base, transparent, huge_2m, huge_1g };
std::string_view to_string(Pages pages) noexcept;  ///< "base", "transparent", "2MiB", "1GiB"

/// The largest pages to try for; smaller ones follow in order (1 GiB, 2 MiB, transparent, base).
struct PagePolicy {
  enum class Demand : std::uint8_t {
    prefer,  ///< take the next smaller pages where there are none, and report it
    /// Fail with `unsupported` where there are none, saying how to reserve them. Base and transparent pages
    /// are bound strictly then: where their node runs out of memory later, the kernel ends the process.
    require,
  };
  Pages largest = Pages::huge_1g;
  Demand demand = Demand::prefer;

  /// Reads "prefer:1GiB", "require:2MiB", "transparent", "base". Errors: invalid.
  static Result<PagePolicy> parse(std::string_view text);
};

struct ArenaOptions {
  /// Bytes over all nodes together, split evenly, each segment rounded up to its page size.
  /// Bound: at most the memory of the machine (or of the cgroup); more is `invalid`.
  std::uint64_t bytes = 1ULL << 30;
  /// Nodes to lie on; empty: all nodes with memory.
  std::vector<NodeId> nodes;
  PagePolicy pages;
  enum class Prefault : std::uint8_t {
    background,  ///< after start_prefault(), threads bound to each node touch the pages while it is in use
    none,        ///< pages come at first touch
  };
  Prefault prefault = Prefault::background;
  /// Threads a node for prefaulting; bound 1 to 64.
  unsigned prefault_threads = 2;
};

/// What a segment got.
struct SegmentReport {
  NodeId asked;  ///< node that was asked for
  std::uint64_t bytes = 0;
  Pages pages = Pages::base;  ///< what was got
  /// The kernel took the binding to `asked`, which had memory enough then, and no page that was looked at (up
  /// to 4096, evenly spread) lies elsewhere now: they are bound by preference, see numa/README.md.
  bool bound = false;
  std::uint64_t bytes_prefaulted = 0;  ///< so far
  std::string note;                    ///< why it is not what was asked for, and the fix; empty if it is
};

/// One contiguous mapping, readable and writable by the owner only; aligned to 1 GiB or 2 MiB where it is as
/// large as that. Shared with children of fork, kept out of core dumps.
struct Segment {
  std::byte* base = nullptr;
  std::uint64_t bytes = 0;
  std::uint64_t first = 0;  ///< where it begins in the arena's linear space (see Arena)
  NodeId node;
  int fd = -1;  ///< a descriptor others can map, for reading only; owned by the arena; -1 once closed
};

/// The segments lie one after the other in a linear space of offsets: segment i covers
/// [first, first + bytes). An offset names a byte of the arena for everybody, whatever address it is mapped
/// at.
class Arena {
 public:
  /// Errors: invalid (0 bytes, larger than the machine, unknown node, node without memory), unsupported
  /// (required pages are not there; the detail names the sysctl), denied, system.
  /// Touches no page: see start_prefault().
  /// On a topology that is not this machine nothing is bound, which the report says.
  static Result<std::unique_ptr<Arena>> create(const Topology& topology, const ArenaOptions& options);
  ~Arena();  ///< stops prefaulting and unmaps
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::span<const Segment> segments() const noexcept;
  std::uint64_t bytes() const noexcept;  ///< of all segments
  /// The owner's address of an offset in the linear space; `offset` must be less than bytes().
  std::byte* at(std::uint64_t offset) const noexcept;
  std::vector<SegmentReport> report() const;
  /// For arenas that no other process is to map: closes the descriptors of the segments, whose memory stays.
  void close_descriptors() noexcept;
  /// Begins to touch the pages in the background, as the options ask; goes on until it is done, stopped or
  /// the arena destroyed. To be called once, when the process has done most of its mapping: mmap and munmap
  /// wait for pages being touched.
  void start_prefault();
  /// Ends prefaulting for good: waits for the pieces in hand and joins the threads. What was touched stays.
  /// Later calls, also of start_prefault(), do nothing. One thread at a time with start_prefault().
  void stop_prefault();
  /// Waits until background prefaulting has ended; at once where none was started.
  void wait_prefaulted() const;

 private:
  struct Impl;
  explicit Arena(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Somebody else's segment, mapped for reading only.
class ReadOnlyMapping {
 public:
  /// Takes a descriptor received from the owner. Errors: invalid (it is shorter than `bytes`), system.
  static Result<ReadOnlyMapping> map(const File& file, std::uint64_t bytes);
  ReadOnlyMapping() = default;
  ReadOnlyMapping(ReadOnlyMapping&& other) noexcept;
  ReadOnlyMapping& operator=(ReadOnlyMapping&& other) noexcept;
  ~ReadOnlyMapping();

  const std::byte* base() const noexcept { return base_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  const std::byte* base_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::uint64_t mapped_ = 0;  // bytes_ rounded up to the file's pages
};

/// A small region that this process writes and others map for reading (ledgers, for example): base pages,
/// not bound, zeroed, sealed as a segment is.
class SharedRegion {
 public:
  /// `name` shows in /proc/PID/maps; `bytes` is rounded up to whole pages. Errors: invalid (0 bytes),
  /// denied, system.
  static Result<SharedRegion> create(std::string_view name, std::uint64_t bytes);
  SharedRegion() = default;
  SharedRegion(SharedRegion&& other) noexcept;
  SharedRegion& operator=(SharedRegion&& other) noexcept;
  ~SharedRegion();

  std::byte* base() const noexcept { return base_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  int fd() const noexcept { return file_.get(); }  ///< -1 once closed
  /// As Arena::close_descriptors().
  void close_descriptor() noexcept { file_.reset(); }

 private:
  File file_;
  std::byte* base_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace holdfast::numa
