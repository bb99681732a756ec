// How many round trips a get_many takes: on a network where nothing but these takes time.
#include <algorithm>
#include <cstdint>

#include "holdfast/base/random.h"
#include "src/block.h"
#include "tests/sim/cluster_rig.h"

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kOneWay = 1ms;
constexpr Duration kRoundTrip = 2 * kOneWay;

ClusterOptions far_apart() {
  ClusterOptions options;
  options.members = 2;
  options.network.same_rack.latency = kOneWay;
  options.life.arena_bytes = 16 << 20;
  options.life.catalogue_entries = 1024;
  return options;
}

std::vector<std::byte> bytes_of(std::uint64_t size, std::uint64_t seed) {
  std::vector<std::byte> bytes(size);
  for (std::uint64_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(mix64(seed + i));
  return bytes;
}

class BatchTest : public ::testing::Test {
 protected:
  struct Shape {
    std::uint64_t size = 200;
    std::uint32_t alignment = 64;
    std::optional<numa::NodeId> node;
  };
  explicit BatchTest(const ClusterOptions& options = far_apart()) : rig_(options) {}

  /// Objects of rank 0, one after the other in its arena, kept until the end of the test.
  std::vector<Entry> put(std::uint64_t objects, const Shape& shape) {
    Job& job = rig_.job(0);
    std::vector<Entry> entries;
    for (std::uint64_t i = 0; i < objects; ++i) {
      const BlockLayout layout{shape.size, BlockLayout::make_flags(true, shape.alignment)};
      const Block block =
          job.holdings->allocate(layout.block_bytes(), layout.alignment(), shape.node).value();
      const ObjectId id = job.holdings->new_id();
      fill_block(block.address, layout, bytes_of(shape.size, id.low));
      write_header(block.address, {id, job.peers->card({0}).incarnation, layout},
                   job.holdings->new_generation());
      EXPECT_TRUE(job.holdings->seal(id, layout, block).has_value());
      kept_.push_back(job.references->make_own(id));
      entries.push_back({id, block.location, layout, {0}});
    }
    return entries;
  }

  /// Rank 1 gets them; what they are is right. Virtual time it took.
  Duration get(const std::vector<Entry>& entries) {
    const TimePoint start = rig_.job(1).clock.now();
    const auto pins = rig_.finish(1, rig_.app(1).get_many(entries, 10s));
    const Duration took = rig_.job(1).clock.now() - start;
    EXPECT_EQ(pins.size(), entries.size());
    for (std::size_t i = 0; i < pins.size(); ++i) {
      if (!pins[i]) {
        ADD_FAILURE() << i << ": " << pins[i].error().message();
        continue;
      }
      EXPECT_TRUE(std::ranges::equal(pins[i]->bytes(), bytes_of(entries[i].layout.size, entries[i].id.low)))
          << i;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pins[i]->bytes().data()) % entries[i].layout.alignment(), 0U)
          << i << ", which lies aligned to " << entries[i].layout.alignment();
    }
    return took;
  }

  std::uint64_t reads() { return rig_.job(1).counters.sum(Count::remote_reads); }

  ClusterRig rig_;
  std::vector<std::shared_ptr<Reference>> kept_;
};

TEST_F(BatchTest, AlignedNeighboursComeTogether) {
  for (const std::uint32_t alignment : {64U, 128U, 1024U, 4096U}) {
    const auto entries = put(200, {.alignment = alignment});
    const std::uint64_t before = reads();
    EXPECT_LT(get(entries), 5 * kRoundTrip) << alignment;
    EXPECT_LT(reads() - before, 20U) << alignment;
  }
}

TEST_F(BatchTest, NeighboursOfAllAlignmentsLandAlignedAsTheyLie) {
  std::vector<Entry> entries;
  for (std::uint32_t round = 0; round < 20; ++round)
    for (const std::uint32_t alignment : {64U, 512U, 64U, 128U, 4096U, 256U, 64U, 16384U, 64U})
      entries.push_back(put(1, {.size = 100 + round * 37, .alignment = alignment}).front());
  std::ranges::reverse(entries);
  EXPECT_LT(get(entries), 8 * kRoundTrip);
}

TEST_F(BatchTest, ThoseThatDoNotLieWhereTheyAreRememberedAreGotAtATime) {
  auto entries = put(120, {});
  std::vector<std::uint64_t> locations;
  for (const Entry& entry : entries) locations.push_back(entry.location);
  for (std::size_t i = 0; i < entries.size(); ++i)
    entries[i].location = locations[(i + 1) % locations.size()];
  EXPECT_LT(get(entries), 120 * kRoundTrip / 4);
}

TEST_F(BatchTest, LargeOnesAreGotAtATime) {
  const auto entries = put(24, {.size = 300'000});
  EXPECT_LT(get(entries), 24 * kRoundTrip / 3);
}

/// The first of them would be waited for until the deadline.
TEST_F(BatchTest, WhatIsNotSealedYetHoldsUpNoOther) {
  std::vector<Entry> entries;
  std::vector<std::unique_ptr<DraftState>> drafts;
  std::vector<Handle> promises;
  for (int i = 0; i < 100; ++i) {
    drafts.push_back(rig_.finish(0, rig_.app(0).draft(100, {}, {}, 1s)).value());
    promises.push_back(rig_.app(0).promise(*drafts.back()));
    entries.push_back(promises.back().entry);
  }
  for (const Entry& large : put(10, {.size = 300'000})) entries.push_back(large);
  const auto pins = rig_.finish(1, rig_.app(1).get_many(entries, 100 * kRoundTrip));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i < 100) {
      ASSERT_FALSE(pins[i].has_value()) << i;
      EXPECT_EQ(pins[i].error().code, Code::timed_out) << pins[i].error().message();
    } else {
      EXPECT_TRUE(pins[i].has_value()) << i << ": " << pins[i].error().message();
    }
  }
  for (auto& draft : drafts) rig_.app(0).abandon(std::move(draft));
}

class BatchOnNodesTest : public BatchTest {
 protected:
  static ClusterOptions two_nodes() {
    ClusterOptions options = far_apart();
    options.topology = "numa:2 core:1 pu:1";
    return options;
  }
  BatchOnNodesTest() : BatchTest(two_nodes()) {}
};

TEST_F(BatchOnNodesTest, NeighboursOnEachNodeComeTogether) {
  auto entries = put(100, {.node = numa::NodeId{1}});
  for (const Entry& entry : put(100, {.node = numa::NodeId{0}})) entries.push_back(entry);
  ASSERT_EQ(rig_.job(0).memory->arena().segments().size(), 2U);
  EXPECT_NE(entries.front().location, entries.back().location);
  const std::uint64_t before = reads();
  EXPECT_LT(get(entries), 5 * kRoundTrip);
  EXPECT_LT(reads() - before, 10U);
}

}  // namespace
}  // namespace holdfast::sim
