#include "holdfast/base/checksum.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string_view>
#include <vector>

#include "holdfast/base/random.h"

namespace holdfast {
namespace {

std::vector<std::byte> noise(std::size_t size, std::uint64_t seed) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(mix64(++seed) & 255);
  return bytes;
}

std::uint64_t sum(std::string_view text) { return checksum(std::as_bytes(std::span(text))); }

TEST(Checksum, KnownVectorsOfXxh3) {
  EXPECT_EQ(sum(""), 0x2D06800538D394C2ULL);
  EXPECT_EQ(sum("a"), 0xE6C632B61E964E1FULL);
  EXPECT_EQ(sum("abc"), 0x78AF5F94892F3950ULL);
}

TEST(Checksum, LongRunsAreSummedPieceByPieceEachSeededWithTheOnesBefore) {
  const auto bytes = noise(3 * kChecksumPiece + 17, 1);
  std::uint64_t chained = 0;
  for (std::size_t at = 0; at < bytes.size(); at += kChecksumPiece)
    chained = checksum(std::span(bytes).subspan(at, std::min(kChecksumPiece, bytes.size() - at)), chained);
  EXPECT_EQ(checksum(bytes), chained);
}

TEST(Checksum, DoesNotDependOnAlignment) {
  const auto bytes = noise(5000, 2);
  const std::uint64_t expected = checksum(bytes);
  for (std::size_t shift = 0; shift < 64; ++shift) {
    std::vector<std::byte> moved(bytes.size() + shift);
    std::memcpy(moved.data() + shift, bytes.data(), bytes.size());
    EXPECT_EQ(checksum(std::span(moved).subspan(shift)), expected) << shift;
  }
}

TEST(Checksum, EveryFlippedBitIsSeen) {
  auto bytes = noise(300, 3);
  const std::uint64_t expected = checksum(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_NE(checksum(bytes), expected) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
}

TEST(Checksum, TheSeedMatters) {
  const auto bytes = noise(100, 4);
  EXPECT_NE(checksum(bytes, 1), checksum(bytes, 2));
}

class CopyTest : public ::testing::TestWithParam<CopyMode> {};

TEST_P(CopyTest, CopiesAndSumsLikeTheTwoApart) {
  for (const std::size_t size :
       {0UL, 1UL, 7UL, 63UL, 64UL, 65UL, 127UL, 4095UL, 4097UL, kChecksumPiece - 1, kChecksumPiece,
        kChecksumPiece + 1, 3 * kChecksumPiece + 31, 5UL * 1024 * 1024 + 13}) {
    for (const std::size_t shift : {0UL, 1UL, 33UL}) {
      const auto from = noise(size, size);
      // Guards on both sides: not a byte outside the destination may change.
      std::vector<std::byte> to(size + shift + 64, std::byte{0xEE});
      const auto target = std::span(to).subspan(shift, size);
      EXPECT_EQ(copy_and_checksum(target, from, GetParam(), 9), checksum(from, 9)) << size << " at " << shift;
      EXPECT_TRUE(std::equal(from.begin(), from.end(), target.begin())) << size << " at " << shift;
      for (std::size_t i = 0; i < to.size(); ++i) {
        if (i < shift || i >= shift + size) {
          ASSERT_EQ(to[i], std::byte{0xEE}) << size << " at " << shift;
        }
      }
      std::fill(to.begin(), to.end(), std::byte{0xEE});
      copy_bytes(target, from, GetParam());
      EXPECT_TRUE(std::equal(from.begin(), from.end(), target.begin())) << size << " at " << shift;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, CopyTest, ::testing::Values(CopyMode::cached, CopyMode::streaming));

TEST(ChecksumDeathTest, SizesThatDifferStopTheProcess) {
  std::vector<std::byte> to(3), from(4);
  EXPECT_DEATH(copy_and_checksum(to, from, CopyMode::cached), "equal sizes");
}

TEST(CopyMode, LargeObjectsStream) {
  EXPECT_EQ(copy_mode_for(4096), CopyMode::cached);
  EXPECT_EQ(copy_mode_for(1ULL << 30), CopyMode::streaming);
}

}  // namespace
}  // namespace holdfast
