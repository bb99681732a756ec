#include "holdfast/object_id.h"

#include <array>
#include <unordered_set>

#include "tests/core/expect.h"

namespace holdfast {
namespace {

using test::Dice;
using test::fails;

TEST(ObjectIdTest, HexIsHighHalfFirstIn32LowerCaseDigits) {
  EXPECT_EQ((ObjectId{0xABCDEF0123456789, 0x1}.to_hex()), "abcdef01234567890000000000000001");
  EXPECT_EQ(ObjectId{}.to_hex(), std::string(32, '0'));
}

TEST(ObjectIdTest, HexAndBinaryGoThereAndBack) {
  Dice dice(1);
  for (int i = 0; i < 1000; ++i) {
    const ObjectId id{dice.next(), dice.next()};
    const auto back = ObjectId::from_hex(id.to_hex());
    ASSERT_TRUE(test::good(back));
    EXPECT_EQ(*back, id);
    EXPECT_EQ(ObjectId::from_bytes(id.to_bytes()), id);
  }
}

TEST(ObjectIdTest, OnlyExactly32HexadecimalDigitsAreAnId) {
  const std::string good(32, 'a');
  for (const std::string& text : {std::string(), good.substr(1), good + "a", "0x" + good.substr(2),
                                  good.substr(1) + "g", good.substr(1) + " ", "-" + good.substr(1)})
    EXPECT_TRUE(fails(ObjectId::from_hex(text), Code::invalid, "32")) << text;
}

TEST(ObjectIdTest, OrderOfTheBytesIsTheOrderOfTheIds) {
  Dice dice(2);
  for (int i = 0; i < 10000; ++i) {
    // Small halves, so that equal ones occur.
    const ObjectId a{dice.below(3) << 40, dice.next() >> dice.below(64)},
        b{dice.below(3) << 40, dice.below(9)};
    EXPECT_EQ(a <=> b, a.to_bytes() <=> b.to_bytes()) << a.to_hex() << " " << b.to_hex();
  }
}

TEST(ObjectIdTest, HashesOfCountedIdsAreDistinctAndFillBucketsEvenly) {
  constexpr std::size_t kIds = 200000, kBuckets = 128;
  std::unordered_set<std::size_t> seen;
  std::array<std::size_t, kBuckets> low{}, high{};
  for (std::uint64_t i = 0; i < kIds; ++i) {
    const std::size_t hash = std::hash<ObjectId>()({0x1234, i});
    seen.insert(hash);
    ++low[hash % kBuckets];
    ++high[hash >> 57];
  }
  EXPECT_EQ(seen.size(), kIds);
  constexpr std::size_t kMean = kIds / kBuckets;  // six standard deviations are 15 % of it
  for (std::size_t i = 0; i < kBuckets; ++i) {
    EXPECT_NEAR(static_cast<double>(low[i]), kMean, kMean * 0.15);
    EXPECT_NEAR(static_cast<double>(high[i]), kMean, kMean * 0.15);
  }
}

}  // namespace
}  // namespace holdfast
