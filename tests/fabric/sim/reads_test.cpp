// One-sided reads: pieces at different times, so that they tear.
#include <algorithm>
#include <set>

#include "tests/fabric/sim/cluster.h"

namespace holdfast::sim::test {
namespace {

NetworkOptions cache_lines() {
  NetworkOptions out = round_figures();
  out.piece_bytes = 64;
  return out;
}

/// Reads 64 KiB while the owner overwrites all of them with the next number every 10 us; the numbers seen.
std::set<int> numbers_seen(Cluster& cluster, std::vector<int>* order = nullptr) {
  std::vector<std::byte> memory(65536), into(65536);
  const RemoteMemory remote = cluster.expose(1, memory);
  int number = 0;
  std::function<void()> overwrite = [&] {
    std::fill(memory.begin(), memory.end(), static_cast<std::byte>(++number));
    if (number < 20) cluster.timeline.after(10us, overwrite);
  };
  overwrite();
  Ended& ended = cluster.ended();
  cluster.read(0, 1, remote, into, ended);
  cluster.run_for(1ms);
  EXPECT_TRUE(ended.ok()) << ended.message();
  std::set<int> seen;
  for (const std::byte byte : into) {
    seen.insert(std::to_integer<int>(byte));
    if (order != nullptr && (order->empty() || order->back() != std::to_integer<int>(byte)))
      order->push_back(std::to_integer<int>(byte));
  }
  return seen;
}

TEST(SimReads, TearAgainstAnOwnerThatWrites) {
  Cluster cluster(2, cache_lines());
  std::vector<int> order;
  EXPECT_GE(numbers_seen(cluster, &order).size(), 5u) << "65 us of bytes, and a change every 10 us";
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end())) << "copied from the first byte to the last";
}

TEST(SimReads, ScatteredPiecesComeInAnotherOrder) {
  NetworkOptions options = cache_lines();
  options.scatter_pieces = true;
  int unsorted = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Cluster cluster(2, options, seed);
    std::vector<int> order;
    EXPECT_GE(numbers_seen(cluster, &order).size(), 5u);
    unsorted += std::is_sorted(order.begin(), order.end()) ? 0 : 1;
  }
  EXPECT_GT(unsorted, 5);
}

TEST(SimReads, APieceIsNeverTorn) {
  NetworkOptions options = round_figures();
  options.piece_bytes = 1 << 20;
  Cluster cluster(2, options);
  EXPECT_EQ(numbers_seen(cluster).size(), 1u);
}

TEST(SimReads, ScatteredPiecesCoverOddSizes) {
  NetworkOptions options = round_figures();
  options.piece_bytes = 48;
  options.scatter_pieces = true;
  Cluster cluster(2, options);
  for (const std::size_t bytes : {1u, 47u, 48u, 49u, 1000u, 4801u}) {
    std::vector<std::byte> memory(bytes), into(bytes + 2);
    for (std::size_t i = 0; i < bytes; ++i) memory[i] = static_cast<std::byte>(i * 7 + 1);
    const RemoteMemory remote = cluster.expose(1, memory);
    Ended& ended = cluster.ended();
    cluster.read(0, 1, remote, std::span(into).subspan(1, bytes), ended);
    cluster.run_for(1ms);
    ASSERT_TRUE(ended.ok()) << ended.message();
    EXPECT_TRUE(std::equal(memory.begin(), memory.end(), into.begin() + 1)) << bytes;
    EXPECT_EQ(into.front(), std::byte{0});
    EXPECT_EQ(into.back(), std::byte{0});
  }
}

TEST(SimReads, AWrongKeyIsDeniedAndARangeBeyondIsInvalid) {
  Cluster cluster(2);
  std::vector<std::byte> memory(100), into(100);
  RemoteMemory remote = cluster.expose(1, memory);
  Ended &denied = cluster.ended(), &invalid = cluster.ended();
  RemoteMemory wrong = remote, wide = remote;
  wrong.key ^= 1;
  wide.bytes = 101;
  cluster.read(0, 1, wrong, into, denied);
  std::vector<std::byte> more(101);
  cluster.read(0, 1, wide, more, invalid);
  cluster.run_for(1ms);
  ASSERT_TRUE(denied.ended() && invalid.ended());
  EXPECT_EQ(denied.code(), Code::denied);
  EXPECT_EQ(invalid.code(), Code::invalid);
}

TEST(SimReads, KeysDependOnTheSeedOnly) {
  std::vector<std::byte> memory(100);
  const auto key = [&](std::uint64_t seed) {
    Cluster cluster(2, round_figures(), seed);
    return cluster.expose(1, memory).key;
  };
  EXPECT_EQ(key(1), key(1));
  EXPECT_NE(key(1), key(2));
}

TEST(SimReads, ALateOneWritesItsQuarantinedBuffer) {
  NetworkOptions options = round_figures();
  options.one_sided_needs_target = true;
  Cluster cluster(2, options);
  std::vector<std::byte> memory(100, std::byte{1}), into(100);
  const RemoteMemory remote = cluster.expose(1, memory);
  Ended &warm = cluster.ended(), &late = cluster.ended();
  cluster.read(0, 1, remote, into, warm);
  cluster.run_for(1ms);
  ASSERT_TRUE(warm.ok());
  cluster.network.stop(cluster.process(1));
  std::fill(into.begin(), into.end(), std::byte{0});
  auto hold = std::make_shared<int>();
  const std::weak_ptr<int> held = hold;
  cluster.read(0, 1, remote, into, late, 50us, std::move(hold));
  cluster.run_for(1ms);
  ASSERT_TRUE(late.ended());
  EXPECT_EQ(late.code(), Code::timed_out);
  EXPECT_FALSE(held.expired());
  EXPECT_EQ(cluster[0].stats().quarantined, 1u);
  EXPECT_EQ(into[0], std::byte{0});
  cluster.network.resume(cluster.process(1));
  cluster.run_for(1ms);
  EXPECT_EQ(into[0], std::byte{1}) << "the answer came after all";
  EXPECT_TRUE(held.expired());
  EXPECT_EQ(late.calls, 1);
}

}  // namespace
}  // namespace holdfast::sim::test
