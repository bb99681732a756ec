// What an owner knows and does by itself, without a member around it: on a machine of two nodes.
#include "src/holdings.h"

#include <fmt/format.h>

#include "holdfast/fabric/fabric.h"
#include "src/message.h"
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
  std::vector<std::string> pinning(const PinnedBlock&) const override { return processes; }
  std::vector<std::uint64_t> pinned_locations(MemberId) const override {
    ++looked_through;
    return pins;
  }
  std::uint64_t lost() const noexcept override { return 0; }

  std::vector<std::uint64_t> pins;     ///< sorted
  std::vector<std::string> processes;  ///< that pin, whatever it is
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

std::size_t lines_with(std::string_view text, std::string_view part) {
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++lines;
  return lines;
}

TEST_F(HoldingsTest, OfManyPinsHoldersAndTokensSomeAreSaidAndWhatComesOfThemStillFitsIntoAMessage) {
  const Object object = put(first_);
  for (std::uint32_t i = 0; i < 200; ++i) {
    neighbours_.processes.push_back(fmt::format("process {}, 1000 times", 4194000 + i));
    const BlockLayout layout{kSize, BlockLayout::make_flags(true, 64)};
    EXPECT_TRUE(good(holdings_->hold({60000 + i}, {object.id, 1, {}, layout})));
    holdings_->add_token(object.id, {{60000 + i}, 1});
  }
  const std::string text = holdings_->why(object.id);
  EXPECT_EQ(lines_with(text, "pinned by"), 12U) << text;
  EXPECT_EQ(lines_with(text, "references of rank "), 12U) << text;
  EXPECT_EQ(lines_with(text, "a token that rank "), 12U) << text;
  for (const char* const more : {"and 188 processes more", "and 188 ranks more", "and 188 tokens more"})
    EXPECT_NE(text.find(more), text.npos) << text;
  EXPECT_NE(holdfast::fitting(text).find("it stays where it is until the pins are released"), text.npos)
      << text.size();
}

TEST(FittingTextTest, ATextOfAnyLengthFitsIntoAReplyAndNoLetterIsCutInTwo) {
  for (const char* const letter : {"x", "\u00e4", "\u20ac", "\U0001f642"}) {
    std::string text;
    while (text.size() < 10000) text += letter;
    const std::string_view cut = fitting(text);
    EXPECT_EQ(cut.size() % std::string_view(letter).size(), 0U) << letter;
    EXPECT_GT(cut.size() + 4, kMostText);
    WireWriter body;
    put_status(body, {});
    body.put_text(cut);
    MessageHeader reply;
    reply.type = MessageType::reply;
    reply.body = body.bytes();
    EXPECT_LE(encode(reply).size(), fabric::kMaxMessageBytes);
  }
  EXPECT_EQ(fitting("short"), "short");
}

}  // namespace
}  // namespace holdfast
