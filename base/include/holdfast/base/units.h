// Sizes in bytes: literals, parsing and printing. Powers of two throughout, named KiB, MiB, GiB, TiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast {

inline namespace literals {
constexpr std::uint64_t operator""_KiB(unsigned long long n) { return n << 10; }
constexpr std::uint64_t operator""_MiB(unsigned long long n) { return n << 20; }
constexpr std::uint64_t operator""_GiB(unsigned long long n) { return n << 30; }
constexpr std::uint64_t operator""_TiB(unsigned long long n) { return n << 40; }
}  // namespace literals

inline constexpr std::size_t kCacheLine = 64;

/// Reads "4GiB", "512 MiB", "64k", "1.5G", "4096" (bytes). KB, MB, GB are taken as powers of two, too.
/// Errors: invalid (not a size, negative, more than 2^63 bytes).
Result<std::uint64_t> parse_bytes(std::string_view text);

/// "4 GiB", "1.5 MiB", "17 B": at most four significant digits.
std::string format_bytes(std::uint64_t bytes);

/// Rounds up to a multiple of `alignment`, a power of two.
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}
constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t alignment) {
  return value & ~(alignment - 1);
}

}  // namespace holdfast
