// Random numbers that others must not guess (keys, incarnations), and mixing for hash tables.
#pragma once

#include <cstdint>

namespace holdfast {

/// 64 bits from the kernel's generator, never 0. Stops the process where the kernel has none (before
/// Linux 3.17).
std::uint64_t random_u64() noexcept;

/// Where incarnations come from, so that tests and the simulator can put their own in. Any thread.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual std::uint64_t next() noexcept = 0;  ///< never 0
};

/// The kernel's generator; it has no state.
RandomSource& system_random() noexcept;

/// A bijective mix of all 64 bits (the finalizer of MurmurHash3, variant 13 of David Stafford).
constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace holdfast
