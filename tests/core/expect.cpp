#include "tests/core/expect.h"

#include <algorithm>
#include <cstring>

namespace holdfast::test {
namespace {

/// Bytes `i / 8 * 8` to `i / 8 * 8 + 7` of the payload that belongs to `seed`, lowest first.
std::uint64_t pattern_word(std::uint64_t seed, std::uint64_t i) noexcept {
  return mix64(seed + i / 8 * 0x9e3779b97f4a7c15ULL);
}

}  // namespace

std::byte pattern_byte(std::uint64_t seed, std::uint64_t i) noexcept {
  return static_cast<std::byte>(pattern_word(seed, i) >> (i % 8 * 8));
}

void fill_pattern(std::span<std::byte> bytes, std::uint64_t seed) noexcept {
  for (std::uint64_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = pattern_word(seed, i);
    std::memcpy(bytes.data() + i, &word, std::min<std::uint64_t>(8, bytes.size() - i));
  }
}

std::vector<std::byte> pattern(std::uint64_t size, std::uint64_t seed) {
  std::vector<std::byte> bytes(size);
  fill_pattern(bytes, seed);
  return bytes;
}

bool is_pattern(std::span<const std::byte> bytes, std::uint64_t seed, std::uint64_t offset) noexcept {
  std::uint64_t i = 0;
  for (; i < bytes.size() && (offset + i) % 8 != 0; ++i)
    if (bytes[i] != pattern_byte(seed, offset + i)) return false;
  for (; i < bytes.size(); i += 8) {
    const std::uint64_t word = pattern_word(seed, offset + i);
    if (std::memcmp(bytes.data() + i, &word, std::min<std::uint64_t>(8, bytes.size() - i)) != 0) return false;
  }
  return true;
}

}  // namespace holdfast::test
