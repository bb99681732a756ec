// Names whose home did not answer.
#include "tests/sim/cluster_rig.h"

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

/// Each connection is lost as soon as it carries something, for a while after the put has ended, too: what
/// takes the name back at once is lost with it.
TEST(NamesTest, APutThatIsNotAnsweredLeavesNoNameAlsoIfItsHomeCannotBeTold) {
  ClusterRig rig({.members = 3});
  const Key key = rig.name_at(2);
  const auto put = rig.begin(0, rig.app(0).put(std::vector<std::byte>(100), key, 1s));
  rig.run_until([&] { return rig.names(2) == 1; });
  const auto disconnect = [&] {
    rig.cluster().network().break_connections(rig.cluster().process({0}), rig.cluster().process({2}));
  };
  rig.run_until([&] {
    disconnect();
    return put->has_value();
  });
  ASSERT_FALSE((*put)->has_value());
  EXPECT_EQ((*put)->error().code, Code::owner_lost) << (*put)->error().message();
  EXPECT_EQ(rig.job(0).holdings->counts().objects, 0U);
  for (int event = 0; event < 100; ++event) {
    disconnect();
    rig.timeline().step();
  }
  EXPECT_EQ(rig.names(2), 1U) << "nothing could come through yet";
  rig.timeline().run_for(1s);
  EXPECT_EQ(rig.names(2), 0U);
  const auto again = rig.finish(0, rig.app(0).put(std::vector<std::byte>(100), key, 1s));
  EXPECT_TRUE(again.has_value()) << again.error().message();
}

/// The home is stopped before it reads the request, which comes to it after the put has failed.
TEST(NamesTest, APutThatTimedOutLeavesNoNameWhenItsHomeGoesOn) {
  ClusterRig rig({.members = 3});
  const Key key = rig.name_at(2);
  rig.cluster().stop({2});
  const auto put = rig.finish(0, rig.app(0).put(std::vector<std::byte>(100), key, 100ms));
  ASSERT_FALSE(put.has_value());
  EXPECT_EQ(put.error().code, Code::timed_out) << put.error().message();
  rig.timeline().run_for(5s);
  rig.cluster().resume({2});
  rig.timeline().run_for(100ms);
  EXPECT_EQ(rig.names(2), 0U);
  EXPECT_TRUE(rig.finish(1, rig.app(1).put(std::vector<std::byte>(100), key, 1s)).has_value());
}

}  // namespace
}  // namespace holdfast::sim
