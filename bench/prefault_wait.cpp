#include "bench/prefault_wait.h"

#include <string>

#include "holdfast/base/units.h"

namespace holdfast::bench {
namespace {

/// What numa's notes about an early end have in common.
bool has_ended_early(const numa::SegmentReport& segment) {
  return segment.note.find("prefault") != std::string::npos;
}

}  // namespace

Result<bool> PrefaultWait::look(std::span<const numa::SegmentReport> segments,
                                std::chrono::steady_clock::time_point now) {
  std::uint64_t done = 0;
  const numa::SegmentReport* open = nullptr;
  for (const numa::SegmentReport& segment : segments) {
    done += segment.bytes_prefaulted;
    if (segment.bytes_prefaulted < segment.bytes && (open == nullptr || !has_ended_early(*open)))
      open = &segment;
  }
  if (open == nullptr) return true;
  if (done > most_ || moved_at_ == std::chrono::steady_clock::time_point{}) {
    most_ = done;
    moved_at_ = now;
  }
  const bool ended = has_ended_early(*open);
  if (!ended && now - moved_at_ < kPatience) return false;
  std::string why = "skipped: only " + format_bytes(open->bytes_prefaulted) + " of " +
                    format_bytes(open->bytes) + " on node " + std::to_string(open->asked.value) +
                    " are prefaulted, and first touches would be measured, too; ";
  why += ended ? open->note : "nothing has moved for " + std::to_string(kPatience.count()) + " s";
  return fail(Code::full, "bench", std::move(why));
}

}  // namespace holdfast::bench
