#include "holdfast/numa/arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "holdfast/base/check.h"
#include "holdfast/numa/system_files.h"
#include "placement.h"
#include "prefault.h"
#include "segment_memory.h"

namespace holdfast::numa {
namespace {

constexpr std::string_view kOperation = "Arena::create";
constexpr unsigned kMostPrefaultThreads = 64;
/// Of a segment, each time somebody asks for the report: a millisecond. All of 16 MiB, a sample of more; and
/// all huge pages of 8 GiB.
constexpr std::uint64_t kMostPagesLookedAt = 4096;

/// The nodes to lie on, checked.
Result<std::vector<NodeId>> choose_nodes(const Topology& topology, const ArenaOptions& options) {
  std::vector<NodeId> nodes = options.nodes;
  if (nodes.empty()) {
    for (const Node& node : topology.nodes()) {
      if (node.memory_bytes > 0) nodes.push_back(node.id);
    }
    if (nodes.empty()) return fail(Code::invalid, kOperation, "the topology has no node with memory");
    return nodes;
  }
  for (auto at = nodes.begin(); at != nodes.end(); ++at) {
    const Node* const node = topology.find(*at);
    if (node == nullptr) {
      return fail(
          Code::invalid, kOperation,
          fmt::format("there is no node {}, or this process may not use it; see `lstopo`", at->value));
    }
    if (node->memory_bytes == 0) {
      return fail(Code::invalid, kOperation, fmt::format("node {} has no memory; see `lstopo`", at->value));
    }
    if (std::find(nodes.begin(), at, *at) != at) {
      return fail(Code::invalid, kOperation, fmt::format("node {} is named twice", at->value));
    }
  }
  return nodes;
}

/// Refuses what cannot fit even into an idle machine.
Status check_size(const ArenaOptions& options, const SystemFiles& system) {
  if (options.bytes == 0) return fail(Code::invalid, kOperation, "an arena of 0 bytes can hold nothing");
  const MemoryLimit limit = system.memory_limit();
  if (options.bytes > limit.bytes) {
    return fail(Code::invalid, kOperation,
                fmt::format("an arena of {} is larger than {}, which has {}", format_bytes(options.bytes),
                            limit.source, format_bytes(limit.bytes)));
  }
  return {};
}

/// For one of several nodes. A single node is the machine, whose own figures count: they know of balloons
/// and containers, the node's do not.
Status check_node_size(NodeId node, std::uint64_t bytes, const SystemFiles& system) {
  const auto total = system.node_total(node);
  if (!total || bytes <= *total) return {};
  return fail(
      Code::invalid, kOperation,
      fmt::format("a segment of {} is larger than node {}, which has {}; use more nodes or a smaller arena",
                  format_bytes(bytes), node.value, format_bytes(*total)));
}

/// What prefaulting leaves alone: enough that the machine does not start to swap or kill.
std::uint64_t memory_to_keep(const SystemFiles& system) {
  constexpr std::uint64_t kLeast = 64_MiB;
  constexpr std::uint64_t kShare = 32;
  return std::max(kLeast, system.memory_limit().bytes / kShare);
}

/// Segments are bound by preference (see bind_segment): what lies elsewhere has to be said.
void look_where_it_lies(const Segment& segment, const SegmentMemory& memory, SegmentReport& report) {
  const PagesSeen seen =
      look_at_pages({segment.base, segment.bytes}, memory.page_bytes, segment.node, kMostPagesLookedAt);
  if (seen.elsewhere == 0) return;
  report.bound = false;
  const bool reserved = memory.pages == Pages::huge_2m || memory.pages == Pages::huge_1g;
  add_note(report.note,
           reserved
               ? fmt::format("{} pages lie on other nodes, another process took those of node {}; reserve "
                             "more: {}",
                             seen.elsewhere, segment.node.value,
                             SystemFiles::huge_pages_path(segment.node, memory.page_bytes))
               : fmt::format("{} of {} pages looked at lie on other nodes, node {} had no more memory; end "
                             "what takes it (or only files it has read: echo 1 > "
                             "/proc/sys/vm/drop_caches), or open the store with a smaller arena "
                             "(HOLDFAST_ARENA)",
                             seen.elsewhere, seen.there, segment.node.value));
}

}  // namespace

struct Arena::Impl {
  std::vector<Segment> segments;
  std::vector<SegmentMemory> memory;  // as segments
  std::uint64_t bytes = 0;
  std::vector<PrefaultPart> to_prefault;  // as segments; empty: not asked for, or under way
  PrefaultOptions how_to_prefault;
  // Last: its threads touch the memory above, so it goes first.
  std::unique_ptr<Prefault> prefault;
};

Arena::Arena(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Arena::~Arena() = default;

Result<std::unique_ptr<Arena>> Arena::create(const Topology& topology, const ArenaOptions& options) {
  const SystemFiles system;
  HOLDFAST_DO(check_size(options, system));
  if (options.prefault_threads < 1 || options.prefault_threads > kMostPrefaultThreads) {
    return fail(Code::invalid, kOperation,
                fmt::format("{} prefault threads a node; use 1 to {}", options.prefault_threads,
                            kMostPrefaultThreads));
  }
  HOLDFAST_TRY(const std::vector<NodeId> nodes, choose_nodes(topology, options));

  auto impl = std::make_unique<Impl>();
  for (const NodeId node : nodes) {
    SegmentRequest request;
    request.node = node;
    request.bytes = (options.bytes + nodes.size() - 1) / nodes.size();
    request.pages = options.pages;
    request.machine =
        topology.is_this_machine() ? SegmentRequest::Machine::this_one : SegmentRequest::Machine::described;
    request.other_nodes = topology.nodes().size() > 1;
    if (topology.is_this_machine() && request.other_nodes) {
      HOLDFAST_DO(check_node_size(node, request.bytes, system));
    }
    HOLDFAST_TRY(SegmentMemory memory, make_segment_memory(request, system));

    const Mapping& mapping = memory.memory.mapping;
    Segment segment;
    segment.base = mapping.base();
    segment.bytes = mapping.bytes();
    segment.first = impl->bytes;
    segment.node = node;
    segment.fd = memory.memory.file.get();
    PrefaultPart part;
    part.base = segment.base;
    part.bytes = segment.bytes;
    part.page_bytes = memory.page_bytes;
    part.node = node;
    part.cpus = topology.find(node)->cpus;
    const bool reserved = memory.pages == Pages::huge_2m || memory.pages == Pages::huge_1g;
    part.supply = reserved ? PrefaultPart::Supply::reserved : PrefaultPart::Supply::watched;
    if (options.prefault == ArenaOptions::Prefault::background) impl->to_prefault.push_back(std::move(part));
    impl->bytes += segment.bytes;
    impl->segments.push_back(segment);
    impl->memory.push_back(std::move(memory));
  }
  PrefaultOptions& how = impl->how_to_prefault;
  how.threads_per_part = options.prefault_threads;
  how.keep_free_bytes = memory_to_keep(system);
  how.watch_nodes = topology.is_this_machine() && topology.nodes().size() > 1;
  return std::unique_ptr<Arena>(new Arena(std::move(impl)));
}

std::span<const Segment> Arena::segments() const noexcept { return impl_->segments; }

std::uint64_t Arena::bytes() const noexcept { return impl_->bytes; }

std::byte* Arena::at(std::uint64_t offset) const noexcept {
  HOLDFAST_CHECK(offset < impl_->bytes, "an offset lies within the arena");
  const std::vector<Segment>& segments = impl_->segments;
  // All but one machine in a thousand have at most eight nodes: a look from the end beats a search.
  auto segment = segments.rbegin();
  while (segment->first > offset) ++segment;
  return segment->base + (offset - segment->first);
}

std::vector<SegmentReport> Arena::report() const {
  std::vector<SegmentReport> reports;
  for (std::size_t i = 0; i < impl_->segments.size(); ++i) {
    const Segment& segment = impl_->segments[i];
    const SegmentMemory& memory = impl_->memory[i];
    SegmentReport report{segment.node, segment.bytes, memory.pages, memory.bound, 0, memory.note};
    if (impl_->prefault) {
      report.bytes_prefaulted = impl_->prefault->bytes_done(i);
      if (const std::string note = impl_->prefault->note(i); !note.empty()) add_note(report.note, note);
    }
    if (memory.bound) look_where_it_lies(segment, memory, report);
    reports.push_back(std::move(report));
  }
  return reports;
}

void Arena::close_descriptors() noexcept {
  for (std::size_t i = 0; i < impl_->segments.size(); ++i) {
    impl_->segments[i].fd = -1;
    impl_->memory[i].memory.file.reset();
  }
}

void Arena::start_prefault() {
  if (impl_->to_prefault.empty()) return;
  impl_->prefault = std::make_unique<Prefault>(std::exchange(impl_->to_prefault, {}), impl_->how_to_prefault,
                                               SystemFiles());
}

void Arena::stop_prefault() {
  impl_->to_prefault.clear();
  if (impl_->prefault) impl_->prefault->stop();
}

void Arena::wait_prefaulted() const {
  if (impl_->prefault) impl_->prefault->wait();
}

}  // namespace holdfast::numa
