// A store in this process alone: rank 0 of 1, no launcher.
#pragma once

#include <cstdlib>
#include <thread>

#include "holdfast/holdfast.h"
#include "tests/core/expect.h"

namespace holdfast::test {

using namespace std::chrono_literals;

/// Longer than anything here takes on a machine that does much else.
inline constexpr Duration kLong = 60s;

/// Ends the test, not the machine, where a condition never comes.
template <class Condition>
bool comes_true(Condition condition) {
  const Deadline deadline = Deadline::after(real_clock(), kLong);
  while (!condition()) {
    if (deadline.passed(real_clock())) return false;
    std::this_thread::yield();
  }
  return true;
}

class StoreTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { setenv("HOLDFAST_LAUNCHER", "alone", 1); }

  static StoreOptions small_options() {
    StoreOptions options;
    options.arena.bytes = 64_MiB;
    options.arena.pages.largest = numa::Pages::base;
    options.arena.prefault = numa::ArenaOptions::Prefault::none;
    return options;
  }

  /// A full arena is an error at once.
  static PutOptions no_wait() {
    PutOptions options;
    options.timeout = 0s;
    return options;
  }

  static Store open(const StoreOptions& options = small_options()) {
    auto store = Store::open(options);
    if (!store) {
      ADD_FAILURE() << store.error().message();
      std::abort();
    }
    return std::move(*store);
  }

  static ObjectRef put(Store& store, std::uint64_t size, std::uint64_t seed, const PutOptions& options = {}) {
    auto ref = store.put(pattern(size, seed), options);
    EXPECT_TRUE(good(ref));
    return ref ? *ref : ObjectRef();
  }
};

}  // namespace holdfast::test
