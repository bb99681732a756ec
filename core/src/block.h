// How an object lies in an arena, and how a reader knows from the bytes alone that it is the right one, whole
// and untorn:
//
//   header (64 bytes) | checksum of each chunk (8 bytes each) | padding to the alignment | payload
//
// The header's checksum covers the header and the chunk checksums, and they cover the payload. Freeing a
// block first spoils its header.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "holdfast/base/result.h"
#include "holdfast/base/units.h"
#include "holdfast/object_id.h"

namespace holdfast {

/// Sealed into each block and its catalogue entry.
struct BlockLayout {
  std::uint64_t size = 0;   ///< payload bytes
  std::uint32_t flags = 0;  ///< see below

  // Bits of flags: 0 = chunks are checksummed; 8..15 = log2 of the payload's alignment.
  static constexpr std::uint32_t kChecksummed = 1;
  static std::uint32_t make_flags(bool checksummed, std::uint32_t alignment) noexcept;
  /// False for flags that no version of this library writes.
  static bool flags_valid(std::uint32_t flags) noexcept;

  bool checksummed() const noexcept { return (flags & kChecksummed) != 0; }
  std::uint64_t alignment() const noexcept { return 1ULL << ((flags >> 8) & 0xff); }
  /// log2 of what one checksum covers. 64 KiB: what a range get reads at least, and small enough to stay in
  /// cache between copy and checksum; more for objects of over 4 GiB, so that the table stays below 512 KiB.
  unsigned chunk_log() const noexcept {
    constexpr unsigned kSmallestLog = 16, kMostChunksLog = 16;
    const auto bits = static_cast<unsigned>(std::bit_width(size - (size != 0 ? 1 : 0)));
    return bits <= kSmallestLog + kMostChunksLog ? kSmallestLog : bits - kMostChunksLog;
  }
  std::uint64_t chunk_bytes() const noexcept { return 1ULL << chunk_log(); }
  /// 0 where no checksums are kept.
  std::uint64_t chunks() const noexcept {
    return checksummed() ? (size + chunk_bytes() - 1) >> chunk_log() : 0;
  }
  std::uint64_t table_bytes() const noexcept { return chunks() * sizeof(std::uint64_t); }
  /// From the block's start.
  std::uint64_t payload_offset() const noexcept;
  std::uint64_t block_bytes() const noexcept { return payload_offset() + size; }
  friend bool operator==(const BlockLayout&, const BlockLayout&) = default;
};

/// Payloads are at most this long, so that no sum of sizes can overflow.
inline constexpr std::uint64_t kMaxPayloadBytes = 1ULL << 46;

struct BlockHeader {
  static constexpr std::uint64_t kMagic =
      0x4b434f4c42464401;  // "\1DFBLOCK": the last byte is the layout's version
  std::uint64_t checksum;  ///< of all that follows, the table included: one run of bytes
  std::uint64_t magic;
  std::uint64_t id_high;
  std::uint64_t id_low;
  std::uint64_t generation;   ///< new each time a block is written
  std::uint64_t incarnation;  ///< of the owner
  std::uint64_t size;
  std::uint32_t chunk_bytes;
  std::uint32_t flags;
};
static_assert(sizeof(BlockHeader) == 64);

inline constexpr std::uint64_t kBlockHeaderBytes = sizeof(BlockHeader);

inline std::uint64_t BlockLayout::payload_offset() const noexcept {
  return align_up(kBlockHeaderBytes + table_bytes(), alignment());
}

/// What a block is expected to be.
struct BlockIdentity {
  ObjectId id;
  std::uint64_t incarnation = 0;
  BlockLayout layout;
};

/// Copies `from`, the whole payload, into place and notes the checksum of each chunk on the way.
void fill_block(std::byte* block, const BlockLayout& layout, std::span<const std::byte> from) noexcept;

/// Notes the checksums of a payload that was written in place.
void checksum_block(std::byte* block, const BlockLayout& layout) noexcept;

/// Writes the header over a table and payload that are complete.
void write_header(std::byte* block, const BlockIdentity& identity, std::uint64_t generation) noexcept;

/// Makes a header that no reader will take for any object.
void spoil_header(std::byte* block) noexcept;

/// It was made so.
bool is_spoiled(const std::byte* block) noexcept;

/// Undoes it: nothing else of the block has changed since.
void mend_header(std::byte* block, const BlockLayout& layout) noexcept;

/// What of a block is kept on disk: all but the header's checksum, which makes it an object. So a block that
/// is being read back is none until write_header().
inline std::span<std::byte> spilled_part(std::byte* block, const BlockLayout& layout) noexcept {
  constexpr std::uint64_t kChecksumBytes = sizeof(BlockHeader::checksum);
  return {block + kChecksumBytes, layout.block_bytes() - kChecksumBytes};
}

/// Which object a header is of, where it looks like one.
std::optional<ObjectId> id_in_header(const std::byte* block) noexcept;

/// Of a header that was good: another one if the block was written anew, also by the same object.
std::uint64_t header_word(const std::byte* block) noexcept;

enum class HeaderCheck : std::uint8_t {
  good,
  other,    ///< not this object: freed, moved, or another one lies here now
  damaged,  ///< this object by its id, but the checksum does not fit: torn, or altered
};

/// Looks at header and table (kBlockHeaderBytes + layout.table_bytes() bytes at `block`).
HeaderCheck check_header(const std::byte* block, const BlockIdentity& expected) noexcept;

/// Compares the payload's chunks first..last (not including last) with the table. `payload` points at chunk
/// `first`.
bool check_chunks(const std::byte* block, const BlockLayout& layout, std::uint64_t first, std::uint64_t last,
                  const std::byte* payload) noexcept;

/// The same while copying the chunks to `to`.
bool copy_and_check_chunks(const std::byte* block, const BlockLayout& layout, std::uint64_t first,
                           std::uint64_t last, const std::byte* payload, std::byte* to) noexcept;

}  // namespace holdfast
