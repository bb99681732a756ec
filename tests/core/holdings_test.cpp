// What an owner knows and does by itself, without a member around it: on a machine of two nodes.
#include "src/holdings.h"

#include "tests/core/expect.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::fails;
using test::good;

class NoNeighbours final : public Neighbours {
 public:
  void attach(MemberId, const Card&, Attached) override {}
  void watch(View*) override {}
  bool pinned(const PinnedBlock& block) const override {
    return std::ranges::count(pins, block.location) != 0;
  }
  std::vector<std::string> pinning(const PinnedBlock&) const override { return {}; }
  std::vector<std::uint64_t> pinned_locations(MemberId) const override {
    ++looked_through;
    return pins;
  }
  std::uint64_t lost() const noexcept override { return 0; }

  std::vector<std::uint64_t> pins;  ///< sorted
  mutable int looked_through = 0;
};

class HoldingsTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSize = 1_MiB;
  static constexpr std::uint64_t kIncarnation = 77;

  HoldingsTest() {
    numa::ArenaOptions options;
    options.bytes = 32_MiB;
    options.pages = {numa::Pages::base, numa::PagePolicy::Demand::prefer};
    options.prefault = numa::ArenaOptions::Prefault::none;
    const auto machine = numa::Topology::from_synthetic("numa:2 core:1 pu:1").value();
    memory_ = LocalMemory::create(machine, options, 16, 1).value();
    const CatalogueGeometry geometry = CatalogueGeometry::for_entries(100);
    const Block catalogue = Holdings::allocate_catalogue(*memory_, geometry).value();
    holdings_ = Holdings::create({real_clock(), memory_, neighbours_, *references_, {}, kIncarnation, {}},
                                 geometry, catalogue)
                    .value();
  }

  struct Object {
    ObjectId id;
    Block block;
    std::shared_ptr<Reference> reference;
  };
  Object put(numa::NodeId node, std::uint64_t size = kSize) {
    const BlockLayout layout{size, BlockLayout::make_flags(true, 64)};
    const Block block = holdings_->allocate(layout.block_bytes(), layout.alignment(), node).value();
    const ObjectId id = holdings_->new_id();
    checksum_block(block.address, layout);
    write_header(block.address, {id, kIncarnation, layout}, holdings_->new_generation());
    EXPECT_TRUE(holdings_->seal(id, layout, block).has_value());
    return {id, block, references_->make_own(id)};
  }
  /// Objects that fit into a node.
  std::uint64_t fitting() const { return memory_->arena().segments()[0].bytes / (kSize + 64_KiB); }
  std::uint64_t evictions(std::size_t segment) const {
    return holdings_->counts().segments[segment].evictions;
  }

  NoNeighbours neighbours_;
  std::shared_ptr<References> references_ = std::make_shared<References>(MemberId{0}, 1s);
  std::shared_ptr<LocalMemory> memory_;
  std::unique_ptr<Holdings> holdings_;
  const numa::NodeId first_{0}, second_{1};
};

TEST_F(HoldingsTest, WhatNobodyKeepsOnANodeGivesWayBeforeAnotherNodeIsChosen) {
  ASSERT_EQ(memory_->arena().segments().size(), 2U);
  for (std::uint64_t i = 0; i < 5 * fitting(); ++i) ASSERT_EQ(put(first_).block.segment, 0U) << i;
  EXPECT_GT(evictions(0), 0U);
  EXPECT_EQ(memory_->placed_elsewhere(), 0U);
  EXPECT_EQ(put(second_).block.segment, 1U);
}

TEST_F(HoldingsTest, WhatIsKeptOnANodeStaysAndTheNextNodeIsTakenAndItsCachedObjectsOnlyThen) {
  std::vector<Object> kept;
  for (std::uint64_t i = 0; i < 3 * fitting() / 2; ++i) (void)put(second_);
  const std::uint64_t before = evictions(1);
  for (std::uint64_t i = 0; i < fitting() - 1; ++i) {
    kept.push_back(put(first_));
    ASSERT_EQ(kept.back().block.segment, 0U) << i;
  }
  EXPECT_EQ(evictions(1), before);
  for (std::uint64_t i = 0; i < fitting() - 1; ++i) kept.push_back(put(first_));
  EXPECT_EQ(kept.back().block.segment, 1U);
  EXPECT_GT(evictions(1), before);
}

TEST_F(HoldingsTest, ThePinsOfCachedObjectsAreLookedForOnceForAllOfThem) {
  for (std::uint64_t i = 0; i + 2 < fitting(); ++i) neighbours_.pins.push_back(put(first_).block.location);
  std::ranges::sort(neighbours_.pins);
  for (std::uint64_t i = 0; i < 4; ++i) (void)put(first_);
  EXPECT_GE(neighbours_.looked_through, 1);
  EXPECT_LE(neighbours_.looked_through, 8);
}

}  // namespace
}  // namespace holdfast
