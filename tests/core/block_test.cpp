#include "src/block.h"

#include <cstring>
#include <memory>

#include "holdfast/base/units.h"
#include "tests/core/expect.h"

namespace holdfast {
namespace {

using test::pattern;

constexpr std::uint64_t kChunk = 64 * 1024;
constexpr std::uint64_t kSizes[] = {
    0, 1, 63, 64, 65, 4095, kChunk - 1, kChunk, kChunk + 1, 2 * kChunk, 3 * kChunk + 5};

BlockLayout layout_of(std::uint64_t size, bool checksummed = true, std::uint32_t alignment = 64) {
  return {size, BlockLayout::make_flags(checksummed, alignment)};
}

/// A sealed block in memory of its own.
struct Sealed {
  explicit Sealed(const BlockLayout& layout, std::uint64_t seed = 7)
      : identity{{11, 22}, 33, layout},
        payload(pattern(layout.size, seed)),
        words(layout.block_bytes() / 8 + 16) {
    fill_block(block(), layout, payload);
    write_header(block(), identity, 5);
  }
  std::byte* block() { return reinterpret_cast<std::byte*>(words.data()); }
  HeaderCheck header() { return check_header(block(), identity); }
  bool chunks_good() {
    const BlockLayout& layout = identity.layout;
    return check_chunks(block(), layout, 0, layout.chunks(), block() + layout.payload_offset());
  }
  void flip(std::uint64_t byte, unsigned bit) { block()[byte] ^= static_cast<std::byte>(1U << bit); }

  BlockIdentity identity;
  std::vector<std::byte> payload;
  std::vector<std::uint64_t> words;
};

TEST(BlockLayoutTest, PayloadIsAlignedBehindHeaderAndTable) {
  for (const std::uint64_t size : kSizes)
    for (const std::uint32_t alignment : {64U, 128U, 4096U, 2U << 20})
      for (const bool checksummed : {true, false}) {
        const BlockLayout layout = layout_of(size, checksummed, alignment);
        EXPECT_TRUE(BlockLayout::flags_valid(layout.flags));
        EXPECT_EQ(layout.checksummed(), checksummed);
        EXPECT_EQ(layout.alignment(), alignment);
        EXPECT_EQ(layout.payload_offset() % alignment, 0U);
        EXPECT_GE(layout.payload_offset(), kBlockHeaderBytes + layout.table_bytes());
        EXPECT_LT(layout.payload_offset(), kBlockHeaderBytes + layout.table_bytes() + alignment);
        EXPECT_EQ(layout.block_bytes(), layout.payload_offset() + size);
        EXPECT_EQ(layout.chunks(), checksummed ? (size + kChunk - 1) / kChunk : 0);
      }
}

TEST(BlockLayoutTest, TableOfTheLargestObjectsStaysSmall) {
  const BlockLayout large = layout_of(5_GiB);
  EXPECT_EQ(large.chunk_bytes(), 2 * kChunk);
  EXPECT_EQ(large.chunks(), 5_GiB / (2 * kChunk));
  EXPECT_EQ(large.block_bytes(), large.payload_offset() + 5_GiB);
  EXPECT_EQ(layout_of(4_GiB).chunk_bytes(), kChunk);
  EXPECT_EQ(layout_of(4_GiB).table_bytes(), 512_KiB);
  EXPECT_EQ(layout_of(4_GiB + 1).chunk_bytes(), 2 * kChunk);
  const BlockLayout largest = layout_of(kMaxPayloadBytes);
  EXPECT_LE(largest.table_bytes(), 512_KiB);
  EXPECT_GE(largest.chunks() * largest.chunk_bytes(), largest.size);
  // The header keeps the chunk size in 32 bits.
  EXPECT_LE(largest.chunk_bytes(), 0xffffffffU);
}

TEST(BlockLayoutTest, FlagsOfNoVersionAreRefused) {
  EXPECT_FALSE(BlockLayout::flags_valid(0));
  EXPECT_FALSE(BlockLayout::flags_valid(5 << 8));   // alignment 32
  EXPECT_FALSE(BlockLayout::flags_valid(22 << 8));  // alignment 4 MiB
  const std::uint32_t valid = BlockLayout::make_flags(true, 64);
  for (unsigned bit = 1; bit < 8; ++bit) EXPECT_FALSE(BlockLayout::flags_valid(valid | 1U << bit));
  for (unsigned bit = 16; bit < 32; ++bit) EXPECT_FALSE(BlockLayout::flags_valid(valid | 1U << bit));
}

TEST(BlockTest, CopiedInAndWrittenInPlaceGiveTheSameBlock) {
  for (const std::uint64_t size : kSizes)
    for (const bool checksummed : {true, false}) {
      const BlockLayout layout = layout_of(size, checksummed);
      Sealed copied(layout), in_place(layout);
      std::ranges::fill(in_place.words, 0);
      if (size != 0) std::memcpy(in_place.block() + layout.payload_offset(), in_place.payload.data(), size);
      checksum_block(in_place.block(), layout);
      write_header(in_place.block(), in_place.identity, 5);
      EXPECT_EQ(std::memcmp(copied.block(), in_place.block(), kBlockHeaderBytes + layout.table_bytes()), 0)
          << size;
      EXPECT_EQ(copied.header(), HeaderCheck::good) << size;
      EXPECT_TRUE(copied.chunks_good()) << size;
      EXPECT_TRUE(
          std::ranges::equal(std::span(copied.block() + layout.payload_offset(), size), copied.payload));
    }
}

TEST(BlockTest, EveryFlippedBitOfHeaderAndTableIsSeen) {
  for (const std::uint64_t size : kSizes) {
    Sealed sealed(layout_of(size));
    const std::uint64_t covered = kBlockHeaderBytes + sealed.identity.layout.table_bytes();
    for (std::uint64_t byte = 0; byte < covered; ++byte)
      for (unsigned bit = 0; bit < 8; ++bit) {
        sealed.flip(byte, bit);
        EXPECT_NE(sealed.header(), HeaderCheck::good)
            << "size " << size << " byte " << byte << " bit " << bit;
        sealed.flip(byte, bit);
      }
    EXPECT_EQ(sealed.header(), HeaderCheck::good);
  }
}

TEST(BlockTest, EveryFlippedByteOfThePayloadIsSeen) {
  for (const std::uint64_t size : kSizes) {
    Sealed sealed(layout_of(size));
    const std::uint64_t offset = sealed.identity.layout.payload_offset();
    // All bytes of short ones; of long ones some in each stripe of the hash, and each side of a chunk's edge.
    const std::uint64_t step = size < 8192 ? 1 : 131;
    for (std::uint64_t i = 0; i < size; ++i) {
      const bool at_edge = i % kChunk < 2 || i % kChunk >= kChunk - 2 || i + 2 >= size;
      if (i % step != 0 && !at_edge) continue;
      sealed.flip(offset + i, static_cast<unsigned>(i % 8));
      ASSERT_FALSE(sealed.chunks_good()) << "size " << size << " byte " << i;
      sealed.flip(offset + i, static_cast<unsigned>(i % 8));
    }
    EXPECT_TRUE(sealed.chunks_good());
  }
}

TEST(BlockTest, OnlyTheChunksAskedForAreLookedAt) {
  Sealed sealed(layout_of(3 * kChunk + 5));
  const BlockLayout& layout = sealed.identity.layout;
  std::byte* const payload = sealed.block() + layout.payload_offset();
  sealed.flip(layout.payload_offset() + kChunk, 0);  // the first byte of chunk 1
  EXPECT_TRUE(check_chunks(sealed.block(), layout, 0, 1, payload));
  EXPECT_FALSE(check_chunks(sealed.block(), layout, 1, 2, payload + kChunk));
  EXPECT_TRUE(check_chunks(sealed.block(), layout, 2, 4, payload + 2 * kChunk));
  EXPECT_TRUE(check_chunks(sealed.block(), layout, 1, 1, payload + kChunk))
      << "no chunk: nothing to be wrong";
}

TEST(BlockTest, CopyingOutChecksTheSame) {
  Sealed sealed(layout_of(2 * kChunk + 9));
  const BlockLayout& layout = sealed.identity.layout;
  const std::byte* const payload = sealed.block() + layout.payload_offset();
  std::vector<std::byte> out(layout.size);
  EXPECT_TRUE(copy_and_check_chunks(sealed.block(), layout, 0, 3, payload, out.data()));
  EXPECT_EQ(out, sealed.payload);
  sealed.flip(layout.block_bytes() - 1, 7);
  EXPECT_TRUE(copy_and_check_chunks(sealed.block(), layout, 0, 2, payload, out.data()));
  EXPECT_FALSE(copy_and_check_chunks(sealed.block(), layout, 2, 3, payload + 2 * kChunk, out.data()));
}

TEST(BlockTest, SpoiledHeaderIsNoObject) {
  Sealed sealed(layout_of(100));
  spoil_header(sealed.block());
  EXPECT_EQ(sealed.header(), HeaderCheck::other);
  write_header(sealed.block(), sealed.identity, 6);
  EXPECT_EQ(sealed.header(), HeaderCheck::good);
}

TEST(BlockTest, AnotherObjectIsToldFromADamagedOne) {
  Sealed sealed(layout_of(100));
  BlockIdentity expected = sealed.identity;
  expected.id.low += 1;
  EXPECT_EQ(check_header(sealed.block(), expected), HeaderCheck::other);
  expected = sealed.identity;
  expected.incarnation += 1;
  EXPECT_EQ(check_header(sealed.block(), expected), HeaderCheck::damaged);
  expected = sealed.identity;
  expected.layout.size += 1;
  EXPECT_EQ(check_header(sealed.block(), expected), HeaderCheck::damaged);
  expected = sealed.identity;
  expected.layout = layout_of(100, true, 128);
  EXPECT_EQ(check_header(sealed.block(), expected), HeaderCheck::damaged);
}

}  // namespace
}  // namespace holdfast
