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

/// An object larger than what may be kept left again before the one for whom it had come back was told, each
/// time.
TEST(Regression, WhatComesBackStaysUntilItIsRead) {
  Scenario scenario;
  scenario.seed = 280;
  scenario.members = 8;
  scenario.detection_ms = 500;
  scenario.token_ms = 2000;
  scenario.arena_kib = 128;
  scenario.disks = 1;
  scenario.spill_above = 5;
  scenario.disk_latency_us = 2000;
  scenario.steps = {
      {396077, 7, Act::put, 46, 0, 17506}, {403238, 7, Act::put, 48, 0, 7492},
      {404586, 7, Act::put, 50, 0, 4706},  {433198, 7, Act::get, 48, 0, 24150},
      {3610584, 2, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// Who had no room to look had the name taken out before its object was erased: where the answer was lost,
/// the object was kept by a name that was gone.
TEST(Regression, ANameIsErasedAfterItsObjectInAFullArenaToo) {
  Scenario scenario;
  scenario.seed = 64;
  scenario.members = 4;
  scenario.members_per_host = 3;
  scenario.jitter_us = 50;
  scenario.detection_ms = 500;
  scenario.token_ms = 20;
  scenario.arena_kib = 192;
  scenario.disks = 1;
  scenario.spill_above = 5;
  scenario.disk_mb_per_s = 200;
  scenario.steps = {
      {1256, 0, Act::put, 1, 3, 2665},
      {1867, 1, Act::drop, 1, 0, 0},
      {5252, 0, Act::lookup, 1, 8, 1},
      {15183, 2, Act::draft, 2, 0, 173},
      {15183, 2, Act::pass, 2, 3, 2},
      {15183, 2, Act::pass, 2, 2, 3},
      {16003, 2, Act::pass, 2, 1, 0},
      {16003, 3, Act::pass, 2, 0, 2},
      {16003, 2, Act::pass, 2, 0, 2},
      {36415, 1, Act::put, 25, 0, 4638},
      {37497, 1, Act::put, 11, 0, 10906},
      {38177, 0, Act::put, 32, 4, 9000},
      {38274, 1, Act::put, 26, 0, 77571},
      {38296, 1, Act::put, 27, 0, 79258},
      {38296, 1, Act::pass, 27, 2, 0},
      {41044, 2, Act::get, 26, 0, 0},
      {41083, 1, Act::put, 28, 0, 3154},
      {41083, 1, Act::pass, 28, 2, 0},
      {45319, 1, Act::put, 16, 0, 16965},
      {48705, 1, Act::put, 17, 0, 76928},
      {50310, 2, Act::put, 36, 0, 19531},
      {51230, 2, Act::prefetch, 27, 0, 22557},
      {51589, 1, Act::put, 19, 0, 5245},
      {52909, 1, Act::get, 27, 0, 23122},
      {55384, 3, Act::put, 5, 0, 51257},
      {93471, 1, Act::pin, 17, 0, 3640},
      {94728, 2, Act::put_parts, 38, 36, 76913},
      {94728, 2, Act::pass, 38, 2, 0},
      {94857, 2, Act::stop, 0, 0, 0},
      {99426, 3, Act::erase_name, 0, 7, 0},
      {101363, 1, Act::erase_name, 0, 3, 0},
      {117388, 0, Act::pass, 94, 1, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// It has all its objects pinned until the last has come, which has no room while they are: only the one who
/// asks for so many at once can let go of some.
TEST(Regression, AGetOfMoreThanFitsMayKeepOthersFromRoom) {
  Scenario scenario;
  scenario.seed = 371;
  scenario.members = 4;
  scenario.eager = true;
  scenario.detection_ms = 20;
  scenario.token_ms = 20;
  scenario.arena_kib = 128;
  scenario.disks = 1;
  scenario.spill_above = 30;
  scenario.disk_latency_us = 10;
  scenario.steps = {
      {157489, 3, Act::put, 6, 0, 4112},
      {157682, 3, Act::put_parts, 7, 6, 63592},
      {157775, 3, Act::put, 8, 0, 14097},
      {157775, 3, Act::pass, 8, 2, 0},
      {158620, 3, Act::put_parts, 14, 8, 4114},
      {158766, 3, Act::put, 15, 0, 21900},
      {159034, 3, Act::put, 17, 0, 2825},
      {159784, 3, Act::get_range, 6, 0, 16711145871724725132U},
      {160040, 3, Act::get_many, 17, 0, 19591},
      {160456, 2, Act::get_many, 17, 0, 6690},
      {160986, 2, Act::get_range, 15, 0, 3293779481931382539},
      {3191777, 0, Act::drop, 169, 0, 6769},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// A reader had another's header where it had landed it; its owner, who read that place by a stale reference,
/// got it back to where his object had lain before it went to disk, and took it for good.
TEST(Regression, LandedHeadersDoNotStay) {
  Scenario scenario;
  scenario.seed = 1018;
  scenario.members = 7;
  scenario.needs_target = true;
  scenario.detection_ms = 500;
  scenario.token_ms = 20;
  scenario.arena_kib = 128;
  scenario.disks = 1;
  scenario.disk_kib = 1024;
  scenario.steps = {
      {507, 2, Act::put, 17, 0, 61459},    {507, 2, Act::pass, 17, 5, 0},
      {1264, 5, Act::put, 55, 0, 54590},   {1360, 3, Act::put, 65, 0, 36175},
      {12507, 5, Act::get_into, 17, 0, 0}, {12648, 3, Act::put, 26, 0, 69285},
      {13417, 5, Act::put, 56, 0, 54590},  {13758, 3, Act::put, 93, 0, 54677},
      {20611, 3, Act::pass, 26, 5, 0},     {21264, 5, Act::pass, 56, 3, 0},
      {32611, 5, Act::get_into, 26, 0, 0}, {32789, 3, Act::erase, 26, 0, 0},
      {33264, 3, Act::get_into, 56, 0, 0}, {33587, 3, Act::get_into, 93, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// A token ended, and with it an object and its part: that a handle had gone was told from inside the agent's
/// own turn, and the simulated endpoint forgot that it had been woken.
TEST(Regression, AWakeFromInsideATurnIsForTheNext) {
  Scenario scenario;
  scenario.seed = 4763;
  scenario.eager = true;
  scenario.detection_ms = 20;
  scenario.token_ms = 300;
  scenario.arena_kib = 128;
  scenario.disks = 1;
  scenario.disk_kib = 256;
  scenario.disk_latency_us = 10;
  scenario.disk_mb_per_s = 200;
  scenario.steps = {
      {135948, 1, Act::put, 6, 0, 21086},         {135948, 1, Act::pass, 6, 1, 0},
      {439050, 1, Act::put, 14, 0, 10617},        {439050, 1, Act::pass, 14, 1, 0},
      {439050, 1, Act::put_parts, 16, 14, 31573}, {439050, 1, Act::pass, 16, 1, 0},
      {639369, 0, Act::drop, 16, 0, 0},           {943997, 0, Act::put, 28, 0, 66001},
      {951979, 0, Act::pass, 28, 1, 0},           {964038, 0, Act::erase, 28, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// Nothing kept it any more, and it waited for room that a part of its own had, on disks that were full.
TEST(Regression, WhatNothingKeepsDoesNotComeBack) {
  Scenario scenario;
  scenario.seed = 8268;
  scenario.members = 9;
  scenario.eager = true;
  scenario.detection_ms = 20;
  scenario.token_ms = 2000;
  scenario.arena_kib = 128;
  scenario.disks = 2;
  scenario.spill_above = 5;
  scenario.disk_kib = 256;
  scenario.disk_latency_us = 10;
  scenario.steps = {
      {289190, 8, Act::put, 10, 0, 2466},
      {289190, 8, Act::pass, 10, 6, 0},
      {289190, 8, Act::put, 11, 0, 3152},
      {289190, 8, Act::put, 13, 0, 71378},
      {289190, 8, Act::put_parts, 14, 11, 73384},
      {289190, 8, Act::put, 17, 0, 62463},
      {289190, 8, Act::put, 18, 0, 16161},
      {289190, 8, Act::put, 20, 0, 65629},
      {289190, 8, Act::put, 22, 0, 15004},
      {289190, 8, Act::put, 23, 0, 19914},
      {289190, 8, Act::put, 24, 0, 56239},
      {808510, 8, Act::draft, 63, 0, 9000},
      {810229, 8, Act::seal, 63, 3, 0},
      {892028, 8, Act::put, 64, 0, 3431},
      {892028, 8, Act::put, 65, 0, 7373},
      {892028, 8, Act::put, 66, 0, 7638},
      {892028, 8, Act::put, 67, 0, 20573},
      {892028, 8, Act::put_parts, 68, 66, 6913},
      {892028, 8, Act::put, 69, 0, 3659},
      {892028, 8, Act::put_parts, 70, 69, 16328},
      {892028, 8, Act::put, 71, 0, 10967},
      {892682, 2, Act::get_many, 71, 0, 23449},
      {977794, 7, Act::get, 70, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

TEST(Regression, WhoWaitedInVainIsForgottenThoughHeCouldNotSaySo) {
  Scenario scenario;
  scenario.seed = 182;
  scenario.members = 3;
  scenario.members_per_host = 1;
  scenario.detection_ms = 4000;
  scenario.token_ms = 2000;
  scenario.arena_kib = 192;
  scenario.steps = {
      {386316, 0, Act::get_name, 0, 5, 1},
      {1529068, 0, Act::cut, 0, 2, 0},
      {5611694, 0, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

TEST(Regression, ANameWhoseHomeSeemedDeadGoesWithItsObject) {
  Scenario scenario;
  scenario.seed = 88;
  scenario.members = 8;
  scenario.members_per_host = 1;
  scenario.detection_ms = 20;
  scenario.token_ms = 2000;
  scenario.arena_kib = 192;
  scenario.steps = {
      {734, 7, Act::put, 9, 7, 2407},
      {1811, 7, Act::cut, 0, 6, 0},
      {3987823, 7, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

TEST(Regression, AnObjectGoesWhoseNameWasErasedWhileItsOwnerCouldNotBeReached) {
  Scenario scenario;
  scenario.seed = 6015151;
  scenario.members = 8;
  scenario.members_per_host = 2;
  scenario.detection_ms = 20;
  scenario.token_ms = 300;
  scenario.arena_kib = 512;
  scenario.steps = {
      {543, 1, Act::put, 9, 4, 378},
      {624, 3, Act::cut, 0, 1, 1},
      {3003, 2, Act::erase_name, 0, 4, 0},
      {7871075, 3, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// The owner could not be reached, nor could the name's home tell that it had forgotten the name: the object
/// was kept for ever by a name that nobody could erase any more.
TEST(Regression, AnEraseByNameThatReachesNeitherHomeNorOwnerErasesBothInTheEnd) {
  Scenario scenario;
  scenario.seed = 20008697;
  scenario.members = 7;
  scenario.members_per_host = 3;
  scenario.piece_bytes = 4096;
  scenario.jitter_us = 0;
  scenario.detection_ms = 20;
  scenario.member_timeout_ms = 0;
  scenario.token_ms = 20;
  scenario.arena_kib = 512;
  scenario.steps = {
      {368, 0, Act::lookup, 5, 5, 0},   {402, 1, Act::cut, 0, 5, 0},        {424, 2, Act::put, 11, 2, 2109},
      {440, 1, Act::put, 12, 1, 9000},  {477, 5, Act::erase_name, 0, 1, 0}, {3635, 3, Act::cut, 0, 6, 0},
      {3613125, 2, Act::heal, 0, 0, 0},
  };
  EXPECT_EQ(play(scenario).violations, std::vector<std::string>());
}

/// Neighbours were to land together, in a block larger than any segment, and were refused.
TEST(Regression, ManyAreGotOneByOneWhereTheyDoNotFitTogether) {
  Scenario scenario;
  scenario.members = 2;
  scenario.arena_kib = 192;
  scenario.nodes = 2;
  for (std::uint32_t i = 0; i < 4; ++i) {
    scenario.steps.push_back({1000 * i, 0, Act::put, 2 * i + 1, 0, 54'000});
    scenario.steps.push_back({1000 * i, 0, Act::pass, 2 * i + 1, 1, 0});
  }
  scenario.steps.push_back({100'000, 1, Act::get_many, 1, 0, 0});
  const Played played = play(scenario);
  EXPECT_EQ(played.violations, std::vector<std::string>());
  EXPECT_EQ(played.ended.at("get_many ok"), 4U);
}

}  // namespace
}  // namespace holdfast::sim::test
