#include "holdfast/op.h"

#include <chrono>

namespace holdfast::detail {

std::optional<std::size_t> drive_any(std::span<OpState* const> states, Deadline until) {
  // With several, each is driven a slice at a time: they may be on different endpoints, and sleeping in one
  // would miss what comes to another. On one endpoint, which is the common case, driving one drives all.
  constexpr Duration kSlice = std::chrono::microseconds(200);
  const Clock& clock = real_clock();
  for (;;) {
    for (std::size_t i = 0; i < states.size(); ++i)
      if (states[i]->done()) return i;
    if (until.passed(clock)) return std::nullopt;
    for (std::size_t i = 0; i < states.size(); ++i) {
      states[i]->drive(std::min(until, Deadline::after(clock, kSlice)));
      if (states[i]->done()) return i;
    }
  }
}

}  // namespace holdfast::detail
