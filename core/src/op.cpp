#include "holdfast/op.h"

#include <algorithm>
#include <chrono>

namespace holdfast::detail {

std::optional<std::size_t> drive_any(std::span<OpState* const> states, Deadline until) {
  const auto first_done = [&]() -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < states.size(); ++i)
      if (states[i]->done()) return i;
    return std::nullopt;
  };
  const std::function<bool()> enough = [&] { return first_done().has_value(); };
  std::vector<OpState*> engines;
  for (OpState* const state : states)
    if (std::ranges::find(engines, state->engine(), &OpState::engine) == engines.end())
      engines.push_back(state);

  // With one engine, which is the common case (all were started by one thread), its sleep ends when any of
  // them does. With several each gets a slice in turn: sleeping in one would miss what comes to another.
  constexpr Duration kSlice = std::chrono::microseconds(200);
  const Clock& clock = real_clock();
  for (;;) {
    if (const auto done = first_done()) return done;
    if (until.passed(clock)) return std::nullopt;
    for (OpState* const engine : engines)
      engine->drive(engines.size() == 1 ? until : std::min(until, Deadline::after(clock, kSlice)), enough);
  }
}

}  // namespace holdfast::detail
