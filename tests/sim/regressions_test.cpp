// Scenarios that found something, as the shrinker printed them.
#include <gtest/gtest.h>

#include "tests/sim/player.h"

namespace holdfast::sim::test {
namespace {

TEST(Regression, DropsAreToldAfterTheConnectionBroke) {
  Scenario scenario;
  scenario.seed = 118;
  scenario.members = 7;
  scenario.members_per_host = 1;
  scenario.detection_ms = 20;
  scenario.token_ms = 20;
  scenario.steps = {
      {6940, 0, Act::put, 1, 0, 1357}, {6940, 0, Act::pass, 1, 3, 0},   {16437, 0, Act::drop, 1, 0, 0},
      {875114, 3, Act::cut, 0, 0, 0},  {937301, 6, Act::drop, 1, 0, 0}, {1080315, 3, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

TEST(Regression, AHalfErasedNameKeepsNothing) {
  Scenario scenario;
  scenario.seed = 175;
  scenario.members = 9;
  scenario.members_per_host = 1;
  scenario.detection_ms = 4000;
  scenario.token_ms = 2000;
  scenario.arena_kib = 512;
  scenario.steps = {
      {84041, 8, Act::put, 15, 8, 9000},
      {88687, 2, Act::cut, 0, 8, 0},
      {123947, 2, Act::erase_name, 0, 8, 0},
      {5223197, 0, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

TEST(Regression, AHoldThatIsTakenBackLeavesAnother) {
  Scenario scenario;
  scenario.seed = 10126;
  scenario.members = 2;
  scenario.members_per_host = 1;
  scenario.eager = true;
  scenario.detection_ms = 4000;
  scenario.token_ms = 300;
  scenario.arena_kib = 512;
  scenario.steps = {
      {633, 1, Act::put, 1, 0, 2639},     {1849, 0, Act::erase, 1, 0, 0},
      {2787, 1, Act::pass, 1, 0, 0},      {2787, 1, Act::pass, 1, 0, 0},
      {3582, 1, Act::draft, 2, 0, 12520}, {3582, 1, Act::pass, 2, 0, 3},
      {3582, 1, Act::pass, 2, 0, 1},      {3582, 1, Act::pass, 2, 1, 3},
      {8598, 1, Act::draft, 3, 0, 1549},  {11500, 0, Act::put, 4, 0, 2047},
      {11500, 0, Act::pass, 4, 0, 2},     {12831, 1, Act::erase_name, 0, 4, 0},
      {13477, 1, Act::get, 4, 0, 0},      {16983, 0, Act::cut, 0, 1, 0},
      {17498, 1, Act::seal, 3, 3, 0},     {19385, 1, Act::pin, 4, 0, 17832},
      {23287, 1, Act::get, 1, 0, 0},      {50385, 0, Act::put, 8, 0, 1962},
      {50385, 0, Act::pass, 8, 0, 0},     {50385, 0, Act::pass, 8, 1, 2},
      {50385, 0, Act::pass, 8, 0, 2},     {64814, 0, Act::get, 2, 0, 0},
      {345293, 0, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// A read that had come well was told when the channel closed; the protocol went on to an endpoint that was
/// gone.
TEST(Regression, AMemberMayEndBetweenAnyTwoStepsOfAGet) {
  Scenario scenario;
  scenario.members = 3;
  scenario.eager = true;
  for (std::uint64_t end = 10'000; end < 10'080; ++end) {
    scenario.steps = {
        {0, 0, Act::put, 1, 1, 1000},      {0, 0, Act::pass, 1, 1, 0},
        {9'990, 1, Act::get, 1, 0, 0},     {9'999, 0, Act::erase, 1, 0, 0},
        {10'000, 1, Act::get, 1, 0, 0},    {10'000, 1, Act::get_into, 1, 0, 0},
        {10'000, 1, Act::wait, 1, 0, 0},   {10'000, 1, Act::get_name, 0, 1, 0},
        {10'000, 1, Act::lookup, 0, 1, 0}, {10'005, 1, Act::get, 1, 0, 0},
        {end, 1, Act::crash, 0, 0, 0},
    };
    EXPECT_EQ(play(scenario).violations, std::vector<std::string>()) << "ends at " << end << " us";
  }
}

// The answer to a request of an earlier life at the same address is nobody's.
TEST(Regression, Seed1031255) {
  Scenario scenario;
  scenario.seed = 1031255;
  scenario.members = 2;
  scenario.members_per_host = 1;
  scenario.piece_bytes = 4096;
  scenario.jitter_us = 0;
  scenario.detection_ms = 4000;
  scenario.token_ms = 2000;
  scenario.arena_kib = 256;
  scenario.steps = {
      {431953, 1, Act::stop, 0, 0, 0},      {598508, 0, Act::put, 3, 3, 2892},
      {798687, 0, Act::leave, 0, 0, 0},     {1280048, 0, Act::restart, 0, 0, 0},
      {1761905, 0, Act::get_name, 0, 7, 1},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// It left and came back to the same place while it was read, again and again: its reader called it corrupt.
/// And who had waited for room, in vain, kept the spiller awake.
TEST(Regression, AnObjectThatComesBackToWhereItLayIsNotCorrupt) {
  Scenario scenario;
  scenario.seed = 1;
  scenario.members = 4;
  scenario.members_per_host = 1;
  scenario.token_ms = 300;
  scenario.arena_kib = 128;
  scenario.disks = 1;
  scenario.disk_kib = 256;
  scenario.disk_latency_us = 10;
  scenario.disk_mb_per_s = 20;
  scenario.steps = {
      {116768, 0, Act::put, 117, 0, 21074}, {116768, 0, Act::pass, 117, 3, 0},
      {121009, 0, Act::put, 118, 0, 19576}, {121398, 0, Act::put_parts, 119, 118, 72569},
      {123079, 3, Act::get, 117, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// A cached object went for a put, and the part of its own that only it had kept was not seen to be free.
TEST(Regression, WhatOnlyAnEvictedObjectKeptMakesRoomToo) {
  Scenario scenario;
  scenario.seed = 15;
  scenario.members = 2;
  scenario.token_ms = 20;
  scenario.arena_kib = 128;
  scenario.disks = 1;
  scenario.disk_latency_us = 2000;
  scenario.steps = {
      {2676, 1, Act::put, 59, 0, 5738},
      {2797, 1, Act::put_parts, 60, 59, 6122},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

}  // namespace
}  // namespace holdfast::sim::test
