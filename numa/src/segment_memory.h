// The memory of one segment: chooses the pages, binds them to the node, and says what came of it.
#pragma once

#include <cstdint>
#include <string>

#include "holdfast/base/result.h"
#include "holdfast/numa/arena.h"
#include "holdfast/numa/system_files.h"
#include "sealed_memory.h"

namespace holdfast::numa {

struct SegmentRequest {
  NodeId node;
  std::uint64_t bytes = 0;  ///< rounded up to the pages that are got
  PagePolicy pages;
  /// Whether `node` is one of this machine, so that memory can be bound to it.
  enum class Machine : std::uint8_t { this_one, described } machine = Machine::this_one;
  bool other_nodes = false;  ///< the machine has some, which may take what does not fit
};

struct SegmentMemory {
  SealedMemory memory;
  Pages pages = Pages::base;
  std::uint64_t page_bytes = 0;  ///< of `pages`; for transparent ones of the pages they fall back to
  bool bound = false;
  std::string note;  ///< as in SegmentReport
};

/// Errors: unsupported (required pages are not there), denied, system.
Result<SegmentMemory> make_segment_memory(const SegmentRequest& request, const SystemFiles& system);

/// Joins sentences for people.
void add_note(std::string& note, std::string_view sentence);

}  // namespace holdfast::numa
