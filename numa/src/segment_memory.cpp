#include "segment_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "holdfast/base/units.h"
#include "placement.h"

namespace holdfast::numa {
namespace {

constexpr std::array kLargestFirst = {Pages::huge_1g, Pages::huge_2m, Pages::transparent, Pages::base};
constexpr std::uint64_t k2MiB = 2_MiB;
constexpr std::uint64_t k1GiB = 1_GiB;

std::uint64_t base_page_bytes() {
  static const auto bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

std::uint64_t unit_of(Pages pages) {
  switch (pages) {
    case Pages::huge_1g:
      return k1GiB;
    case Pages::huge_2m:
    case Pages::transparent:
      return k2MiB;
    case Pages::base:
      break;
  }
  return base_page_bytes();
}

bool is_reserved_kind(Pages pages) { return pages == Pages::huge_1g || pages == Pages::huge_2m; }

std::string reserve_advice(NodeId node, std::uint64_t page_bytes, std::uint64_t total) {
  const std::string at_boot =
      page_bytes == k1GiB
          ? " (memory in pieces of 1 GiB is scarce after boot: better hugepagesz=1G hugepages=N "
            "on the kernel's command line)"
          : "";
  return fmt::format("as root: echo {} > {}{}", total, SystemFiles::huge_pages_path(node, page_bytes),
                     at_boot);
}

/// Why the node's pool cannot hold the segment, with the command that mends it; empty if it can.
/// Memory of hugetlb files is reserved machine-wide, never for a node; so the node's own pool is looked at.
std::string shortage(const SegmentRequest& request, std::uint64_t page_bytes, const SystemFiles& system) {
  const std::uint64_t needed = align_up(request.bytes, page_bytes) / page_bytes;
  const std::vector<HugePages> pools = system.huge_pages(request.node);
  const auto pool = std::find_if(pools.begin(), pools.end(),
                                 [&](const HugePages& pages) { return pages.page_bytes == page_bytes; });
  if (pool == pools.end()) {
    return fmt::format("node {} has no pages of {}: the kernel or the processor lacks them",
                       request.node.value, format_bytes(page_bytes));
  }
  if (pool->free >= needed) return {};
  return fmt::format("node {} has {} of the {} pages of {} needed free; {}", request.node.value, pool->free,
                     needed, format_bytes(page_bytes),
                     reserve_advice(request.node, page_bytes, pool->total + needed - pool->free));
}

/// Tries one kind of pages. The error's detail says why there are none, and the fix.
Result<SegmentMemory> try_pages(const SegmentRequest& request, Pages pages, const SystemFiles& system) {
  constexpr std::string_view kOperation = "Arena::create";
  const std::uint64_t unit = unit_of(pages);
  const bool described = request.machine == SegmentRequest::Machine::described;
  if (is_reserved_kind(pages)) {
    if (described) {
      return fail(Code::unsupported, kOperation,
                  "the topology describes another machine, its pools are unknown");
    }
    if (std::string why = shortage(request, unit, system); !why.empty()) {
      return fail(Code::unsupported, kOperation, std::move(why));
    }
  }
  if (pages == Pages::transparent && !system.transparent_memfd_allowed()) {
    return fail(Code::unsupported, kOperation,
                fmt::format("the kernel gives them to no memfd; as root: echo advise > {}",
                            SystemFiles::kTransparentMemfdPath));
  }
  SealedMemoryOptions options;
  options.name = fmt::format("holdfast-node{}", request.node.value);
  options.bytes = align_up(request.bytes, unit);
  options.huge_page_bytes = is_reserved_kind(pages) ? unit : 0;
  options.alignment = segment_alignment(options.bytes, unit);
  SegmentMemory segment;
  auto memory = make_sealed_memory(options);
  if (!memory) {
    Error error = std::move(memory).error();
    error.operation = kOperation;
    if (is_reserved_kind(pages)) error.code = Code::unsupported;
    return tl::unexpected(std::move(error));
  }
  segment.memory = std::move(*memory);
  segment.pages = pages;
  segment.page_bytes = is_reserved_kind(pages) ? unit : base_page_bytes();
  const Mapping& mapping = segment.memory.mapping;
  if (pages == Pages::transparent && ::madvise(mapping.base(), mapping.bytes(), MADV_HUGEPAGE) != 0) {
    return fail(Code::unsupported, kOperation,
                "madvise(MADV_HUGEPAGE): " + std::generic_category().message(errno));
  }
  return segment;
}

void bind_segment(SegmentMemory& segment, const SegmentRequest& request, const SystemFiles& system) {
  if (request.machine == SegmentRequest::Machine::described) {
    add_note(segment.note, "not bound: the topology describes another machine");
    return;
  }
  const Mapping& mapping = segment.memory.mapping;
  // A strict binding turns a shortage into a signal: SIGBUS where another process has taken the node's last
  // huge pages (they are reserved machine-wide), SIGKILL where it has taken its last memory, whatever was
  // free when this was called. Preferring the node costs distant pages instead, which the report shows.
  const bool reserved = is_reserved_kind(segment.pages);
  const bool required = !reserved && request.pages.demand == PagePolicy::Demand::require;
  const Binding binding = required ? Binding::strict : Binding::preferred;
  const auto left = system.node_available(request.node);
  const bool short_of_memory =
      !reserved && !required && request.other_nodes && left && *left < mapping.bytes();
  const int error = bind_memory({mapping.base(), mapping.bytes()}, request.node, binding);
  segment.bound = error == 0 && !short_of_memory;
  if (short_of_memory)
    add_note(
        segment.note,
        fmt::format("node {} has {} left for {}, what does not fit lies on the nodes nearest to it; end what "
                    "takes its memory, or open the store with a smaller arena (HOLDFAST_ARENA)",
                    request.node.value, format_bytes(*left), format_bytes(mapping.bytes())));
  if (error == 0) return;
  std::string_view fix;
  if (error == EPERM) fix = "; in a container, allow mbind (docker: --cap-add=SYS_NICE)";
  if (error == ENOSYS) fix = "; this kernel is built without NUMA";
  if (error == EINVAL) fix = "; the process's cpuset may exclude the node";
  add_note(segment.note, fmt::format("not bound to node {}: {}{}", request.node.value,
                                     std::generic_category().message(error), fix));
}

}  // namespace

void add_note(std::string& note, std::string_view sentence) {
  if (!note.empty()) note += "; ";
  note += sentence;
}

Result<SegmentMemory> make_segment_memory(const SegmentRequest& request, const SystemFiles& system) {
  const PagePolicy& policy = request.pages;
  std::string note;
  for (const Pages pages : kLargestFirst) {
    if (pages > policy.largest) continue;
    // A page larger than the segment would mostly lie idle; only who requires it gets it.
    if (policy.demand == PagePolicy::Demand::prefer && pages != Pages::base &&
        unit_of(pages) > request.bytes) {
      add_note(note, fmt::format("no {} pages: the segment is smaller than one", to_string(pages)));
      continue;
    }
    auto segment = try_pages(request, pages, system);
    if (segment) {
      segment->note = std::move(note);
      bind_segment(*segment, request, system);
      return segment;
    }
    if (policy.demand == PagePolicy::Demand::require || pages == Pages::base) {
      Error error = std::move(segment).error();
      error.detail = fmt::format("{} pages for {} on node {}: {}", to_string(pages),
                                 format_bytes(request.bytes), request.node.value, error.detail);
      return tl::unexpected(std::move(error));
    }
    add_note(note, fmt::format("no {} pages: {}", to_string(pages), segment.error().detail));
  }
  return fail(Code::invalid, "Arena::create", "no such page policy");
}

}  // namespace holdfast::numa
