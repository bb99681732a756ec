// Makes a failing scenario short: whatever it can do without is left out.
#pragma once

#include "tests/sim/scenario.h"

namespace holdfast::sim::test {

/// Plays it in a process of its own: a check that fails there, a fault or ten minutes without an end are
/// failures, too. What was violated is printed, each line after `before`, unless that is null.
bool fails(const Scenario& scenario, const char* before = nullptr);

/// A scenario that still violates something, though perhaps something else, from which no step can be left
/// out. Plays at most `most_plays` times; then what is there so far.
Scenario shrink(Scenario scenario, unsigned most_plays = 2000);

}  // namespace holdfast::sim::test
