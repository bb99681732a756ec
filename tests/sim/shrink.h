// Makes a failing scenario short: whatever it can do without is left out.
#pragma once

#include "tests/sim/scenario.h"

namespace holdfast::sim::test {

/// A scenario that still violates something, though perhaps something else, from which no step can be left
/// out. Plays at most `most_plays` times; then what is there so far.
Scenario shrink(Scenario scenario, unsigned most_plays = 2000);

}  // namespace holdfast::sim::test
