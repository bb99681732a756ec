#include "holdfast/base/clock.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST(ManualClock, StandsStillUntilAdvanced) {
  ManualClock clock;
  const TimePoint start = clock.now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(5ms);
  EXPECT_EQ(clock.now() - start, 5ms);
}

TEST(RealClock, NeverGoesBack) {
  TimePoint last = real_clock().now();
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = real_clock().now();
    EXPECT_GE(now, last);
    last = now;
  }
  EXPECT_EQ(&real_clock(), &real_clock());
}

TEST(Deadline, PassesWhenItsTimeComes) {
  ManualClock clock;
  const Deadline deadline = Deadline::after(clock, 10ms);
  EXPECT_FALSE(deadline.passed(clock));
  EXPECT_EQ(deadline.left(clock), 10ms);
  clock.advance(9ms);
  EXPECT_FALSE(deadline.passed(clock));
  EXPECT_EQ(deadline.left(clock), 1ms);
  clock.advance(1ms);
  EXPECT_TRUE(deadline.passed(clock));
  EXPECT_EQ(deadline.left(clock), 0ns);
  clock.advance(1h);
  EXPECT_EQ(deadline.left(clock), 0ns) << "never negative";
}

TEST(Deadline, NeverDoesNotPass) {
  ManualClock clock;
  clock.advance(std::chrono::hours(24 * 365 * 100));
  EXPECT_TRUE(Deadline::never().is_never());
  EXPECT_FALSE(Deadline::never().passed(clock));
  EXPECT_EQ(Deadline::never().left(clock), Duration::max());
}

TEST(Deadline, NegativeTimeoutsHavePassedAndHugeOnesAreNever) {
  ManualClock clock;
  clock.advance(1h);
  EXPECT_TRUE(Deadline::after(clock, -5s).passed(clock));
  EXPECT_TRUE(Deadline::after(clock, Duration::min()).passed(clock));
  EXPECT_TRUE(Deadline::after(clock, 0s).passed(clock));
  EXPECT_TRUE(Deadline::after(clock, Duration::max()).is_never());
}

TEST(Deadline, EarlierIsLess) {
  ManualClock clock;
  EXPECT_LT(Deadline::after(clock, 1s), Deadline::after(clock, 2s));
  EXPECT_LT(Deadline::after(clock, 2s), Deadline::never());
}

}  // namespace
}  // namespace holdfast
