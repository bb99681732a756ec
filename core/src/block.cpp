#include "src/block.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "holdfast/base/checksum.h"
#include "holdfast/base/units.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

// Alignments a payload may have: a cache line to a huge page.
constexpr std::uint32_t kLeastAlignmentLog = 6;
constexpr std::uint32_t kMostAlignmentLog = 21;

std::uint64_t* table_of(std::byte* block) noexcept {
  return reinterpret_cast<std::uint64_t*>(block + kBlockHeaderBytes);
}
const std::uint64_t* table_of(const std::byte* block) noexcept {
  return reinterpret_cast<const std::uint64_t*>(block + kBlockHeaderBytes);
}

// In place of a checksum. One block in 2^64 has it for its own, and is not found.
constexpr std::uint64_t kSpoiled = 0;
static_assert(offsetof(BlockHeader, checksum) == 0);
std::atomic_ref<std::uint64_t> first_word(std::byte* block) noexcept {
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(block));
}

/// Whether these look like the header of that object. They may be anything, also bytes that their owner is
/// writing: what looks right is checked afterwards. ThreadSanitizer cannot know that.
__attribute__((no_sanitize("thread"))) std::uint64_t word_at(const std::byte* block,
                                                             std::size_t at) noexcept {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(block + at), __ATOMIC_RELAXED);
}
bool looks_like(const std::byte* block, const ObjectId& id) noexcept {
  return word_at(block, offsetof(BlockHeader, magic)) == BlockHeader::kMagic &&
         word_at(block, offsetof(BlockHeader, id_high)) == id.high &&
         word_at(block, offsetof(BlockHeader, id_low)) == id.low;
}

std::uint64_t header_checksum(const std::byte* block, std::uint64_t table_bytes) noexcept {
  constexpr std::uint64_t kCoveredFrom = offsetof(BlockHeader, magic);
  return checksum({block + kCoveredFrom, kBlockHeaderBytes - kCoveredFrom + table_bytes});
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
  constexpr std::size_t kRest = offsetof(BlockHeader, magic);
  std::memcpy(block + kRest, &header.magic, sizeof header - kRest);
  first_word(block).store(header_checksum(block, identity.layout.table_bytes()), std::memory_order_release);
}

void spoil_header(std::byte* block) noexcept {
  // Only this word: the bytes under a pin stay as they are. Sequentially consistent, as announcing a pin is:
  // either the owner, who looks for pins after this, sees a reader's, or the reader sees this.
  first_word(block).store(kSpoiled, std::memory_order_seq_cst);
}

bool is_spoiled(const std::byte* block) noexcept { return header_word(block) == kSpoiled; }

void mend_header(std::byte* block, const BlockLayout& layout) noexcept {
  first_word(block).store(header_checksum(block, layout.table_bytes()), std::memory_order_seq_cst);
}

std::optional<ObjectId> id_in_header(const std::byte* block) noexcept {
  if (word_at(block, offsetof(BlockHeader, magic)) != BlockHeader::kMagic) return std::nullopt;
  return ObjectId{word_at(block, offsetof(BlockHeader, id_high)),
                  word_at(block, offsetof(BlockHeader, id_low))};
}

std::uint64_t header_word(const std::byte* block) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, block, sizeof word);
  return word;
}

HeaderCheck check_header(const std::byte* block, const BlockIdentity& expected) noexcept {
  if (!HOLDFAST_MUTATION(skip_identity_check) && !looks_like(block, expected.id)) return HeaderCheck::other;
  BlockHeader header;
  // Ordered after a pin that was announced before: see spoil_header().
  header.checksum = first_word(const_cast<std::byte*>(block)).load(std::memory_order_seq_cst);
  if (header.checksum == kSpoiled) return HeaderCheck::other;
  constexpr std::size_t kRest = offsetof(BlockHeader, magic);
  std::memcpy(&header.magic, block + kRest, sizeof header - kRest);
  const bool fits = header.incarnation == expected.incarnation && header.size == expected.layout.size &&
                    header.flags == expected.layout.flags &&
                    header.chunk_bytes == expected.layout.chunk_bytes() &&
                    header.checksum == header_checksum(block, expected.layout.table_bytes());
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
