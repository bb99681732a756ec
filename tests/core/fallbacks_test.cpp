#include "src/fallbacks.h"

#include <gtest/gtest.h>

#include "src/peers.h"

namespace holdfast {
namespace {

using numa::Pages;
using numa::SegmentReport;

SegmentReport segment(std::uint32_t node, Pages pages, bool bound, std::string note) {
  return {numa::NodeId{node}, 1U << 30, pages, bound, 0, std::move(note)};
}

/// Of members on two hosts: "" got all, the others what it says.
std::vector<Card> cards() {
  const std::vector<std::string> fallbacks = {"", "0:base;", "0:base;", "", "1:base;", "0:base;", "0:base;"};
  std::vector<Card> made(fallbacks.size());
  for (std::size_t rank = 0; rank < made.size(); ++rank) {
    made[rank].host = rank < 5 ? "here" : "there";
    made[rank].fallbacks = fallbacks[rank];
  }
  return made;
}

std::uint32_t speaks(std::uint32_t rank, std::string_view fallbacks) {
  return speaks_for(Peers(MemberId{rank}, cards()), fallbacks);
}

TEST(FallbacksTest, AreWhatAUserShouldHearOf) {
  EXPECT_FALSE(fell_back(segment(0, Pages::base, true, "")));  // as it was asked for
  EXPECT_TRUE(fell_back(segment(0, Pages::base, true, "no 2MiB pages: node 0 has none")));
  EXPECT_TRUE(fell_back(segment(0, Pages::transparent, true, "no 2MiB pages: node 0 has none")));
  EXPECT_FALSE(fell_back(segment(0, Pages::huge_2m, true, "no 1GiB pages: node 0 has none")));
  EXPECT_TRUE(fell_back(segment(0, Pages::huge_2m, false, "not bound to node 0: Operation not permitted")));
}

TEST(FallbacksTest, AreTheSameWhateverTheFiguresInTheirReasons) {
  const std::vector<SegmentReport> one = {segment(0, Pages::base, true, "3 of the 7 pages needed free"),
                                          segment(1, Pages::huge_2m, true, "")};
  std::vector<SegmentReport> other = one;
  other[0].note = "2 of the 7 pages needed free";
  EXPECT_FALSE(fallbacks_of(one).empty());
  EXPECT_EQ(fallbacks_of(one), fallbacks_of(other));
  other[0].bound = false;
  EXPECT_NE(fallbacks_of(one), fallbacks_of(other));
  other = {one[1], one[0]};
  other[1].asked = numa::NodeId{1};
  EXPECT_NE(fallbacks_of(one), fallbacks_of(other));
  EXPECT_EQ(fallbacks_of(std::vector{one[1]}), "");
}

TEST(FallbacksTest, AreSaidOnceAHostByTheFirstThatHasThem) {
  EXPECT_EQ(speaks(1, "0:base;"), 2U) << "the first of the host has nothing to say";
  EXPECT_EQ(speaks(2, "0:base;"), 0U);
  EXPECT_EQ(speaks(4, "1:base;"), 1U) << "the others have something else to say";
  EXPECT_EQ(speaks(5, "0:base;"), 2U) << "of another host";
  EXPECT_EQ(speaks(6, "0:base;"), 0U);
}

TEST(FallbacksTest, ThatCameUpLaterAreSaidByWhoHasThem) {
  EXPECT_EQ(speaks(2, "0:base;1:base;"), 1U);
  EXPECT_EQ(speaks(3, "0:base;"), 1U);
}

}  // namespace
}  // namespace holdfast
