// Simulated members do what real ones do, one call at a time.
#include "sim/cluster.h"

#include <gtest/gtest.h>

#include <cstring>

#include "src/peers.h"

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> bytes_of(std::size_t size, int seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<std::byte>(mix64(static_cast<std::uint64_t>(seed) + i));
  return bytes;
}

class ClusterTest : public ::testing::TestWithParam<SameHost> {
 protected:
  /// Four members, two a host.
  void start() {
    ClusterOptions options;
    options.members = 4;
    options.members_per_host = 2;
    options.life.same_host = GetParam();
    options.life.lifetime.collect = Collect::eager;
    options.life.lifetime.token_lifetime = 1s;
    auto started = Cluster::start(1, options);
    ASSERT_TRUE(started.has_value()) << started.error().message();
    cluster_ = std::move(*started);
  }
  Application& app(std::uint32_t rank) { return cluster_->life({rank})->application(); }

  /// Runs virtual time until the task has ended.
  template <class T>
  T finish(std::uint32_t rank, Task<T> task) {
    std::optional<T> value;
    spawn(std::move(task), [&value](T ended) { value.emplace(std::move(ended)); });
    cluster_->life({rank})->nudge();
    for (int steps = 0; !value; ++steps) {
      EXPECT_TRUE(cluster_->timeline().step() && steps < 1'000'000) << "the operation never ends";
      if (::testing::Test::HasFailure()) std::abort();
    }
    return std::move(*value);
  }
  std::uint64_t objects(std::uint32_t rank) {
    return cluster_->life({rank})->job().holdings->counts().objects;
  }

  std::unique_ptr<Cluster> cluster_;
};

TEST_P(ClusterTest, GetsWhatOthersHavePut) {
  start();
  const auto bytes = bytes_of(100'000, 1);
  const Key key = key_of(name("shared")).value();
  const auto put = finish(0, app(0).put(bytes, key, 1s));
  ASSERT_TRUE(put.has_value()) << put.error().message();
  for (std::uint32_t rank = 0; rank < 4; ++rank) {
    const auto pin = finish(rank, app(rank).get(key, {}, GetOptions::Missing::wait, 1s));
    ASSERT_TRUE(pin.has_value()) << "rank " << rank << ": " << pin.error().message();
    EXPECT_EQ(std::memcmp(pin->bytes().data(), bytes.data(), bytes.size()), 0);
  }
}

TEST_P(ClusterTest, ATokenKeepsAndAHoldKeepsAndTheLastDropFrees) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  ASSERT_TRUE(made.has_value()) << made.error().message();
  const PassedToken token = app(0).token(*made);
  *made = {};
  cluster_->timeline().run_for(500ms);
  EXPECT_EQ(objects(0), 1U) << "the token keeps it";
  auto held = finish(1, app(1).redeem(token, 1s));
  ASSERT_TRUE(held.has_value()) << held.error().message();
  cluster_->timeline().run_for(3s);
  EXPECT_EQ(objects(0), 1U) << "the hold keeps it, the token is gone";
  auto other = finish(2, app(2).redeem(app(1).token(*held), 1s));
  ASSERT_TRUE(other.has_value()) << other.error().message();
  *held = {};
  cluster_->timeline().run_for(3s);
  EXPECT_EQ(objects(0), 1U) << "who redeemed the second token keeps it";
  *other = {};
  cluster_->timeline().run_for(3s);
  EXPECT_EQ(objects(0), 0U);
}

TEST_P(ClusterTest, ADeathDropsExactlyTheHoldsOfTheDead) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  const PassedToken token = app(0).token(*made);
  auto one = finish(1, app(1).redeem(token, 1s));
  auto other = finish(2, app(2).redeem(token, 1s));
  ASSERT_TRUE(one.has_value() && other.has_value());
  *made = {};
  cluster_->timeline().run_for(5s);
  cluster_->crash({1});
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 1U);
  cluster_->crash({2});
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 0U);
}

TEST_P(ClusterTest, AMemberThatComesBackIsAStrangerAndItsFormerHoldsGo) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  const PassedToken token = app(0).token(*made);
  auto held = finish(2, app(2).redeem(token, 1s));
  ASSERT_TRUE(held.has_value()) << held.error().message();
  *made = {};
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 1U);
  cluster_->crash({2});
  cluster_->restart({2});
  // It is there, at the old address, and answers; but it is not who holds the object.
  cluster_->timeline().run_for(10s);
  EXPECT_EQ(objects(0), 0U);
  const auto put = finish(0, app(0).put(bytes_of(10, 3), {}, 1s));
  const auto refused = finish(2, app(2).redeem(app(0).token(*put), 1s));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::denied) << refused.error().message();
}

TEST_P(ClusterTest, GetsOfWhatTheDeadOwnedSaySo) {
  start();
  const auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  auto near = finish(1, app(1).redeem(app(0).token(*made), 1s));
  auto far = finish(2, app(2).redeem(app(0).token(*made), 1s));
  ASSERT_TRUE(near.has_value() && far.has_value());
  cluster_->crash({0});
  for (const std::uint32_t rank : {1U, 2U}) {
    const auto pin =
        finish(rank, app(rank).get((rank == 1 ? near : far)->entry, {}, GetOptions::Missing::wait, 1s));
    ASSERT_FALSE(pin.has_value());
    EXPECT_EQ(pin.error().code, Code::owner_lost) << pin.error().message();
  }
}

TEST_P(ClusterTest, ALeavingMemberIsMissedAtOnce) {
  start();
  auto made = finish(0, app(0).put(bytes_of(1000, 2), {}, 1s));
  auto held = finish(2, app(2).redeem(app(0).token(*made), 1s));
  ASSERT_TRUE(held.has_value());
  *made = {};
  cluster_->timeline().run_for(5s);
  EXPECT_EQ(objects(0), 1U);
  cluster_->leave({2});
  cluster_->timeline().run_for(100ms);
  EXPECT_EQ(objects(0), 0U);
  EXPECT_EQ(cluster_->life({2}), nullptr);
}

INSTANTIATE_TEST_SUITE_P(SameHost, ClusterTest, ::testing::Values(SameHost::memory, SameHost::fabric),
                         [](const auto& how) { return how.param == SameHost::memory ? "memory" : "fabric"; });

}  // namespace
}  // namespace holdfast::sim
