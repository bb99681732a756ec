#include "holdfast/base/check.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(CheckDeathTest, ABrokenInvariantStopsTheProcessAndSaysWhereAndWhy) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const int two = 2;
  EXPECT_DEATH(HOLDFAST_CHECK(two == 3, "two is not three"),
               "broken invariant at .*check_test.cpp:[0-9]+: two == 3 \\(two is not three\\)");
}

TEST(Check, AKeptInvariantCostsOneEvaluation) {
  int evaluated = 0;
  HOLDFAST_CHECK(++evaluated == 1, "evaluated once");
  EXPECT_EQ(evaluated, 1);
}

}  // namespace
}  // namespace holdfast
