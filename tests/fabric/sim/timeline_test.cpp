// Virtual time, and randomness by seed.
#include "holdfast/fabric/sim/timeline.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace holdfast::sim::test {
namespace {

using namespace std::chrono_literals;

TEST(SimTimeline, RunsEventsByTimeThenByNumber) {
  Timeline timeline(1);
  std::vector<int> ran;
  timeline.after(20ns, [&] { ran.push_back(3); });
  timeline.after(10ns, [&] { ran.push_back(1); });
  timeline.after(10ns, [&] { ran.push_back(2); });
  timeline.after(30ns, [&] { ran.push_back(4); });
  const TimePoint start = timeline.now();
  EXPECT_EQ(timeline.next_event_time(), start + 10ns);
  timeline.run_for(20ns);
  EXPECT_EQ(ran, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(timeline.now(), start + 20ns);
  EXPECT_TRUE(timeline.step());
  EXPECT_FALSE(timeline.step());
  EXPECT_EQ(ran.back(), 4);
  EXPECT_EQ(timeline.now(), start + 30ns);
}

TEST(SimTimeline, WhatIsPastRunsNextNotAtOnce) {
  Timeline timeline(1);
  timeline.run_for(1s);
  bool ran = false;
  timeline.at(TimePoint{}, [&] { ran = true; });
  EXPECT_FALSE(ran);
  EXPECT_EQ(timeline.next_event_time(), timeline.now());
  timeline.step();
  EXPECT_TRUE(ran);
}

TEST(SimTimeline, CancelledEventsDoNotRun) {
  Timeline timeline(7);
  Random random(7);
  std::vector<EventId> ids;
  std::vector<int> runs(1000);
  for (std::size_t i = 0; i < runs.size(); ++i)
    ids.push_back(timeline.after(Duration(random.below(100)), [&runs, i] { ++runs[i]; }));
  std::vector<bool> cancelled(runs.size());
  for (std::size_t i = 0; i < 500; ++i) {
    const std::size_t which = random.below(runs.size());
    EXPECT_EQ(timeline.cancel(ids[which]), !cancelled[which]);
    cancelled[which] = true;
  }
  TimePoint last = timeline.now();
  while (timeline.step()) {
    EXPECT_GE(timeline.now(), last);
    last = timeline.now();
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i], cancelled[i] ? 0 : 1);
    EXPECT_FALSE(timeline.cancel(ids[i])) << "it has run, or was cancelled";
  }
}

TEST(SimTimeline, AnIdOfAnEventThatRanDoesNotCancelAnother) {
  Timeline timeline(1);
  EventId old = timeline.after(1ns, [] {});
  timeline.step();
  bool ran = false;
  timeline.after(1ns, [&] { ran = true; });  // in the same slot
  EXPECT_FALSE(timeline.cancel(old));
  timeline.step();
  EXPECT_TRUE(ran);
}

TEST(SimTimeline, StopsWhoGoesOnForEverAtOneTime) {
  EXPECT_DEATH(
      {
        Timeline timeline(1);
        std::function<void()> again = [&] { timeline.after(0ns, again); };
        again();
        timeline.run_for(1ns);
      },
      "events go on for ever at one virtual time");
}

TEST(SimRandom, IsTheSameEverywhere) {
  // From another implementation of splitmix64 and xoshiro256**, and from every compiler.
  Random random(42);
  EXPECT_EQ(random.next(), 0x15780b2e0c2ec716ULL);
  EXPECT_EQ(random.next(), 0x6104d9866d113a7eULL);
  EXPECT_EQ(random.next(), 0xae17533239e499a1ULL);
}

TEST(SimRandom, StaysBelowItsBoundAndReachesAll) {
  Random random(3);
  std::vector<int> seen(10);
  for (int i = 0; i < 1000; ++i) ++seen[random.below(10)];
  for (const int count : seen) EXPECT_GT(count, 50);
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_EQ(random.below(0), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_LE(random.up_to(3ns), 3ns);
}

}  // namespace
}  // namespace holdfast::sim::test
