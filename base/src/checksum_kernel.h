// The loops behind checksum.h, compiled once for the baseline instruction set and once for AVX2.
// Everything here has internal linkage, so that the two never meet at link time.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "holdfast/base/checksum.h"

namespace holdfast {

/// One implementation of what checksum.h promises.
struct ChecksumKernel {
  std::uint64_t (*sum)(const std::byte* bytes, std::size_t size, std::uint64_t seed);
  std::uint64_t (*copy_and_sum)(std::byte* to, const std::byte* from, std::size_t size, CopyMode mode,
                                std::uint64_t seed);
  void (*copy)(std::byte* to, const std::byte* from, std::size_t size, CopyMode mode);
};

namespace {

std::uint64_t sum_pieces(const std::byte* bytes, std::size_t size, std::uint64_t seed) {
  while (size > kChecksumPiece) {
    seed = XXH3_64bits_withSeed(bytes, kChecksumPiece, seed);
    bytes += kChecksumPiece;
    size -= kChecksumPiece;
  }
  return XXH3_64bits_withSeed(bytes, size, seed);
}

#if defined(__SSE2__)
/// To be followed by end_stream() before anybody else is told of the bytes.
void stream(std::byte* to, const std::byte* from, std::size_t size) {
  // Non-temporal stores want an aligned destination and whole cache lines; the ends are copied plainly.
  const std::size_t head = (64 - reinterpret_cast<std::uintptr_t>(to) % 64) % 64;
  if (size < head + 64) {
    std::memcpy(to, from, size);
    return;
  }
  std::memcpy(to, from, head);
  to += head;
  from += head;
  size -= head;
  for (; size >= 64; to += 64, from += 64, size -= 64) {
    const auto* source = reinterpret_cast<const __m128i*>(from);
    auto* target = reinterpret_cast<__m128i*>(to);
    const __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1);
    const __m128i c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
  std::memcpy(to, from, size);
}
void end_stream() { _mm_sfence(); }
#else
void stream(std::byte* to, const std::byte* from, std::size_t size) { std::memcpy(to, from, size); }
void end_stream() {}
#endif

void copy(std::byte* to, const std::byte* from, std::size_t size, CopyMode mode) {
  if (size == 0) return;
  if (mode == CopyMode::cached) {
    std::memcpy(to, from, size);
    return;
  }
  stream(to, from, size);
  end_stream();
}

/// The same sum as sum_pieces. Each bite is copied right after it was checksummed, from the nearest cache,
/// and small enough that its stores are still on their way while the next one is fetched: half as fast again
/// as in whole pieces, where the two take turns. Less than 2 KiB, and the sum's own state costs more than
/// that.
std::uint64_t copy_and_sum(std::byte* to, const std::byte* from, std::size_t size, CopyMode mode,
                           std::uint64_t seed) {
  constexpr std::size_t kBite = 2048;
  if (size <= kBite) {
    seed = XXH3_64bits_withSeed(from, size, seed);
    copy(to, from, size, mode);
    return seed;
  }
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  while (size != 0) {
    XXH3_64bits_reset_withSeed(&state, seed);
    for (std::size_t left = size < kChecksumPiece ? size : kChecksumPiece; left != 0;) {
      const std::size_t n = left < kBite ? left : kBite;
      XXH3_64bits_update(&state, from, n);
      if (mode == CopyMode::streaming)
        stream(to, from, n);
      else
        std::memcpy(to, from, n);
      to += n;
      from += n;
      size -= n;
      left -= n;
    }
    seed = XXH3_64bits_digest(&state);
  }
  if (mode == CopyMode::streaming) end_stream();
  return seed;
}

constexpr ChecksumKernel kKernel{sum_pieces, copy_and_sum, copy};

}  // namespace

/// The kernel compiled for AVX2; nullptr where the compiler targets another architecture.
const ChecksumKernel* avx2_checksum_kernel() noexcept;

}  // namespace holdfast
