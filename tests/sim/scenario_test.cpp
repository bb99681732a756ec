// How scenarios are printed, and that what ends the process is a failure, too.
#include "tests/sim/scenario.h"

#include <gtest/gtest.h>

#include "holdfast/base/log.h"
#include "tests/sim/shrink.h"

namespace holdfast::sim::test {
namespace {

/// Every field is another one than it is by itself: one that is forgotten would be another scenario.
TEST(ScenarioText, SaysAllThatIsToBePlayed) {
  Scenario scenario;
  scenario.seed = 7;
  scenario.members = 3;
  scenario.members_per_host = 2;
  scenario.share_memory = scenario.needs_target = scenario.scatter = scenario.eager = scenario.s3_fifo = true;
  scenario.verify_all = scenario.checksums = false;
  scenario.piece_bytes = 64;
  scenario.jitter_us = 3;
  scenario.straggler_one_in = 10;
  scenario.straggle_us = 500;
  scenario.detection_ms = 20;
  scenario.member_timeout_ms = 2000;
  scenario.token_ms = 300;
  scenario.arena_kib = 192;
  scenario.gather = 4;
  scenario.nodes = 2;
  scenario.disks = 1;
  scenario.spill_above = 30;
  scenario.disk_kib = 1024;
  scenario.disk_latency_us = 10;
  scenario.disk_mb_per_s = 200;
  scenario.steps = {{10, 1, Act::put, 4, 5, 600}, {20, 2, Act::get_range, 4, 0, 1ULL << 63}};
  EXPECT_EQ(as_test(scenario, "Name"),
            "TEST(Regression, Name) {\n"
            "  Scenario scenario;\n"
            "  scenario.seed = 7;\n"
            "  scenario.members = 3;\n"
            "  scenario.members_per_host = 2;\n"
            "  scenario.share_memory = true;\n"
            "  scenario.needs_target = true;\n"
            "  scenario.scatter = true;\n"
            "  scenario.eager = true;\n"
            "  scenario.s3_fifo = true;\n"
            "  scenario.verify_all = false;\n"
            "  scenario.checksums = false;\n"
            "  scenario.piece_bytes = 64;\n"
            "  scenario.jitter_us = 3;\n"
            "  scenario.detection_ms = 20;\n"
            "  scenario.straggler_one_in = 10;\n"
            "  scenario.straggle_us = 500;\n"
            "  scenario.member_timeout_ms = 2000;\n"
            "  scenario.token_ms = 300;\n"
            "  scenario.arena_kib = 192;\n"
            "  scenario.gather = 4;\n"
            "  scenario.nodes = 2;\n"
            "  scenario.disks = 1;\n"
            "  scenario.spill_above = 30;\n"
            "  scenario.disk_kib = 1024;\n"
            "  scenario.disk_latency_us = 10;\n"
            "  scenario.disk_mb_per_s = 200;\n"
            "  scenario.steps = {\n"
            "      {10, 1, Act::put, 4, 5, 600},\n"
            "      {20, 2, Act::get_range, 4, 0, 9223372036854775808U},\n"
            "  };\n"
            "  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());\n"
            "}\n");
}

TEST(ScenarioFails, WhenACheckEndsTheProcess) {
  set_log_level(LogLevel::off);
  Scenario scenario;
  scenario.steps = {{0, 0, Act::put, 1, 0, 100}};
  EXPECT_FALSE(fails(scenario));
  scenario.arena_kib = 0;  // no cluster starts with that
  EXPECT_TRUE(fails(scenario));
  EXPECT_EQ(shrink(scenario, 10).steps.size(), 0U);
}

}  // namespace
}  // namespace holdfast::sim::test
