#include "src/block.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "holdfast/base/checksum.h"
#include "holdfast/base/units.h"

namespace holdfast {
namespace {

// A chunk is what a range get reads at least, and stays in cache between copy and checksum.
constexpr std::uint64_t kSmallestChunk = 64 * 1024;
// Larger objects have larger chunks, so that the table, which travels with the header, stays below 512 KiB.
constexpr std::uint64_t kMostChunks = 65536;
// Alignments a payload may have: a cache line to a huge page.
constexpr std::uint32_t kLeastAlignmentLog = 6;
constexpr std::uint32_t kMostAlignmentLog = 21;

std::uint64_t* table_of(std::byte* block) noexcept {
  return reinterpret_cast<std::uint64_t*>(block + kBlockHeaderBytes);
}
const std::uint64_t* table_of(const std::byte* block) noexcept {
  return reinterpret_cast<const std::uint64_t*>(block + kBlockHeaderBytes);
}

/// Of a header, wherever it was copied to, and the table that follows it in its block.
std::uint64_t header_checksum(const BlockHeader& header, const std::byte* block, std::uint64_t table_bytes) noexcept {
  const std::uint64_t sum = checksum(std::as_bytes(std::span(&header, 1)).first(offsetof(BlockHeader, checksum)));
  return table_bytes == 0 ? sum : checksum({block + kBlockHeaderBytes, table_bytes}, sum);
}

}  // namespace

std::uint32_t BlockLayout::make_flags(bool checksummed, std::uint32_t alignment) noexcept {
  const auto log = static_cast<std::uint32_t>(std::countr_zero(alignment));
  return (checksummed ? kChecksummed : 0) | log << 8;
}

bool BlockLayout::flags_valid(std::uint32_t flags) noexcept {
  const std::uint32_t log = (flags >> 8) & 0xff;
  return (flags & ~0xff01U) == 0 && log >= kLeastAlignmentLog && log <= kMostAlignmentLog;
}

std::uint64_t BlockLayout::chunk_bytes() const noexcept {
  std::uint64_t chunk = kSmallestChunk;
  while (size > chunk * kMostChunks) chunk *= 2;
  return chunk;
}

std::uint64_t BlockLayout::chunks() const noexcept {
  if (!checksummed()) return 0;
  const std::uint64_t chunk = chunk_bytes();
  return (size + chunk - 1) / chunk;
}

std::uint64_t BlockLayout::payload_offset() const noexcept {
  return align_up(kBlockHeaderBytes + table_bytes(), alignment());
}

void fill_block(std::byte* block, const BlockLayout& layout, std::span<const std::byte> from) noexcept {
  std::byte* const payload = block + layout.payload_offset();
  const CopyMode mode = copy_mode_for(layout.size);
  if (!layout.checksummed()) {
    copy_bytes({payload, from.size()}, from, mode);
    return;
  }
  const std::uint64_t chunk = layout.chunk_bytes();
  std::uint64_t* entry = table_of(block);
  for (std::uint64_t at = 0; at < from.size(); at += chunk) {
    const std::uint64_t n = std::min<std::uint64_t>(chunk, from.size() - at);
    *entry++ = copy_and_checksum({payload + at, n}, from.subspan(at, n), mode);
  }
}

void checksum_block(std::byte* block, const BlockLayout& layout) noexcept {
  if (!layout.checksummed()) return;
  const std::byte* const payload = block + layout.payload_offset();
  const std::uint64_t chunk = layout.chunk_bytes();
  std::uint64_t* entry = table_of(block);
  for (std::uint64_t at = 0; at < layout.size; at += chunk)
    *entry++ = checksum({payload + at, std::min(chunk, layout.size - at)});
}

void write_header(std::byte* block, const BlockIdentity& identity, std::uint64_t generation) noexcept {
  BlockHeader header{};
  header.magic = BlockHeader::kMagic;
  header.id_high = identity.id.high;
  header.id_low = identity.id.low;
  header.generation = generation;
  header.incarnation = identity.incarnation;
  header.size = identity.layout.size;
  header.chunk_bytes = static_cast<std::uint32_t>(identity.layout.chunk_bytes());
  header.flags = identity.layout.flags;
  header.checksum = header_checksum(header, block, identity.layout.table_bytes());
  std::memcpy(block, &header, sizeof header);
}

void spoil_header(std::byte* block) noexcept {
  // Atomic, so that a same-host reader that still looks at it sees the old word or the new one.
  std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(block)).store(0, std::memory_order_release);
}

HeaderCheck check_header(const std::byte* block, const BlockIdentity& expected) noexcept {
  // A copy, its first word read atomically: the owner may spoil it meanwhile, also of a block that is pinned.
  BlockHeader header;
  auto* const first = reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(block));
  header.magic = std::atomic_ref<std::uint64_t>(*first).load(std::memory_order_acquire);
  std::memcpy(&header.id_high, block + offsetof(BlockHeader, id_high), sizeof header - offsetof(BlockHeader, id_high));
  const bool is_it = header.magic == BlockHeader::kMagic && header.id_high == expected.id.high &&
                     header.id_low == expected.id.low;
  if (!is_it) return HeaderCheck::other;
  const bool fits = header.incarnation == expected.incarnation && header.size == expected.layout.size &&
                    header.flags == expected.layout.flags && header.chunk_bytes == expected.layout.chunk_bytes() &&
                    header.checksum == header_checksum(header, block, expected.layout.table_bytes());
  return fits ? HeaderCheck::good : HeaderCheck::damaged;
}

bool check_chunks(const std::byte* block, const BlockLayout& layout, std::uint64_t first, std::uint64_t last,
                  const std::byte* payload) noexcept {
  const std::uint64_t chunk = layout.chunk_bytes();
  const std::uint64_t* const table = table_of(block);
  for (std::uint64_t i = first; i < last; ++i) {
    const std::uint64_t n = std::min(chunk, layout.size - i * chunk);
    if (checksum({payload + (i - first) * chunk, n}) != table[i]) return false;
  }
  return true;
}

bool copy_and_check_chunks(const std::byte* block, const BlockLayout& layout, std::uint64_t first,
                           std::uint64_t last, const std::byte* payload, std::byte* to) noexcept {
  const CopyMode mode = copy_mode_for(layout.size);
  const std::uint64_t chunk = layout.chunk_bytes();
  const std::uint64_t* const table = table_of(block);
  for (std::uint64_t i = first; i < last; ++i) {
    const std::uint64_t at = (i - first) * chunk, n = std::min(chunk, layout.size - i * chunk);
    if (copy_and_checksum({to + at, n}, {payload + at, n}, mode) != table[i]) return false;
  }
  return true;
}

}  // namespace holdfast
