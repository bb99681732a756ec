// What is made of the output of Google Benchmark.
#include <gtest/gtest.h>

#include "cli/bench/results.h"

namespace holdfast::cli::test {

TEST(BenchResults, NumbersThatAreNoneDoNotLoseTheOthers) {
  // As Google Benchmark writes a counter that is always 0: its variation is 0/0.
  const auto results = parse_results(R"({"benchmarks": [
    {"name": "a/NaN_median", "run_name": "a/NaN", "run_type": "aggregate", "aggregate_name": "median",
     "measured": 2.5, "limit": 0.0, "ratio": Infinity, "label": "said \"NaN\"", "real_time": 1e3},
    {"name": "a/NaN_cv", "run_name": "a/NaN", "run_type": "aggregate", "aggregate_name": "cv",
     "measured": NaN, "limit": -NaN, "ratio": -Infinity},
    {"name": "b_median", "run_name": "b", "run_type": "aggregate", "aggregate_name": "median",
     "measured": 4.0, "limit": 2.0, "ratio": 2.0, "goal_ratio_at_most": 2.5, "label": "ns"}
  ]})");
  ASSERT_TRUE(results.has_value()) << results.error().message();
  ASSERT_EQ(results->size(), 2u);
  EXPECT_EQ((*results)[0].what, "a/NaN");
  EXPECT_EQ((*results)[0].unit, "said \"NaN\"");
  EXPECT_EQ((*results)[0].measured, 2.5);
  EXPECT_EQ((*results)[0].ratio, 0);
  EXPECT_EQ((*results)[1].ratio, 2.0);
  EXPECT_EQ((*results)[1].reached(), true);
}

TEST(BenchResults, WhatIsNotTheOutputOfABenchmarkIsRefused) {
  for (const char* text : {"", "{}", "NaN", "{\"benchmarks\": [NaN]}", "{\"benchmarks\": [", "[]"})
    EXPECT_FALSE(parse_results(text).has_value()) << text;
}

}  // namespace holdfast::cli::test
