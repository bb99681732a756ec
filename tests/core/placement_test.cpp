// Which segment of an arena a block comes from, and which of these count as placed elsewhere: on a machine of
// four nodes that is only described.
#include <gtest/gtest.h>

#include "holdfast/base/units.h"
#include "src/draft_state.h"
#include "src/local_memory.h"

namespace holdfast {
namespace {

std::shared_ptr<LocalMemory> on_four_nodes() {
  const auto topology = numa::Topology::from_synthetic("numa:4 core:1 pu:1").value();
  numa::ArenaOptions options;
  options.bytes = 4 * 4_MiB;
  options.pages = {.largest = numa::Pages::base};
  options.prefault = numa::ArenaOptions::Prefault::none;
  return LocalMemory::create(topology, options, 64, 1).value();
}

TEST(PlacementTest, OnlyPutsCountAsPlacedElsewhere) {
  const auto memory = on_four_nodes();
  const auto near = memory->try_allocate(3_MiB, 64, numa::NodeId{2});
  const auto far = memory->try_allocate(3_MiB, 64, numa::NodeId{2});
  ASSERT_TRUE(near && far);
  EXPECT_EQ(near->segment, 2U);
  EXPECT_NE(far->segment, 2U);
  EXPECT_EQ(memory->placed_elsewhere(), 0U) << "nothing was put: it may be for what is read, or comes back";

  const BlockLayout layout{2_MiB, BlockLayout::make_flags(false, 64)};
  { const DraftState draft({}, memory, ObjectId{1, 1}, layout, *near); }
  EXPECT_EQ(memory->placed_elsewhere(), 0U);
  { const DraftState draft({}, memory, ObjectId{1, 2}, layout, *far); }
  EXPECT_EQ(memory->placed_elsewhere(), 1U);
}

}  // namespace
}  // namespace holdfast
