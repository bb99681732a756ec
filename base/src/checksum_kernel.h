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
  _mm_sfence();
}
#else
void stream(std::byte* to, const std::byte* from, std::size_t size) { std::memcpy(to, from, size); }
#endif

void copy(std::byte* to, const std::byte* from, std::size_t size, CopyMode mode) {
  if (size == 0) return;
  if (mode == CopyMode::streaming)
    stream(to, from, size);
  else
    std::memcpy(to, from, size);
}

std::uint64_t copy_and_sum(std::byte* to, const std::byte* from, std::size_t size, CopyMode mode,
                           std::uint64_t seed) {
  // Checksumming first brings the piece into cache, so that the copy reads it from there.
  do {
    const std::size_t n = size < kChecksumPiece ? size : kChecksumPiece;
    seed = XXH3_64bits_withSeed(from, n, seed);
    copy(to, from, n, mode);
    to += n;
    from += n;
    size -= n;
  } while (size != 0);
  return seed;
}

constexpr ChecksumKernel kKernel{sum_pieces, copy_and_sum, copy};

}  // namespace

/// The kernel compiled for AVX2; nullptr where the compiler targets another architecture.
const ChecksumKernel* avx2_checksum_kernel() noexcept;

}  // namespace holdfast
