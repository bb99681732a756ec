// Checksums of blocks, and a copy that checksums as it goes.
//
// XXH3 (64 bits; https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) over pieces of
// kChecksumPiece bytes, each seeded with the sum of those before it: so a long run of bytes can be
// checksummed piece by piece while each is in cache. Detects accidents and torn reads; it is not a
// cryptographic hash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast {

inline constexpr std::size_t kChecksumPiece = 64 * 1024;

/// Sum of `bytes`, seeded with `seed`. Any length, any alignment.
std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0) noexcept;

/// How a copy is written.
enum class CopyMode : std::uint8_t {
  cached,     ///< stays in the caches: for what is read again soon
  streaming,  ///< past the caches: faster for what is larger than they are
};

/// The mode for an object of `bytes` in all, however small the pieces it is copied in.
constexpr CopyMode copy_mode_for(std::uint64_t bytes) noexcept {
  // Above a core's share of the last-level cache nothing would stay there anyhow.
  return bytes >= 4 * 1024 * 1024 ? CopyMode::streaming : CopyMode::cached;
}

/// Copies `from` to `to` (same size, not overlapping) and returns checksum(from, seed).
std::uint64_t copy_and_checksum(std::span<std::byte> to, std::span<const std::byte> from, CopyMode mode,
                                std::uint64_t seed = 0) noexcept;

/// The copy alone.
void copy_bytes(std::span<std::byte> to, std::span<const std::byte> from, CopyMode mode) noexcept;

}  // namespace holdfast
