// CRC-64 (ECMA-182, reflected; isa-l) over blocks, and a copy that checksums as it goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast {

/// CRC-64 of `bytes`, continuing from `seed` (0 to start). Any length, any alignment.
std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed = 0) noexcept;

/// Copies `from` to `to` (same size, not overlapping) and returns checksum(from). Works a piece at a time,
/// so that the bytes are checksummed while they are in cache.
std::uint64_t copy_and_checksum(std::span<std::byte> to, std::span<const std::byte> from) noexcept;

}  // namespace holdfast
