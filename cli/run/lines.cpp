#include "cli/run/lines.h"

namespace holdfast::run {
namespace {
/// A line longer than this is passed on in parts, so that output without line ends cannot take all memory.
constexpr std::size_t kLongestLine = 1 << 20;
}  // namespace

void Lines::add(std::string_view bytes) {
  for (;;) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) break;
    partial_ += bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    sink_.add(prefix_, partial_);
    partial_.clear();
  }
  partial_ += bytes;
  if (partial_.size() >= kLongestLine) finish();
}

void Lines::finish() {
  if (partial_.empty()) return;
  sink_.add(prefix_, partial_);
  partial_.clear();
}

}  // namespace holdfast::run
