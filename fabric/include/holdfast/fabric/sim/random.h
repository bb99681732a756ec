// Random numbers for simulations: the same sequence for a seed on every machine and with every compiler.
//
// xoshiro256** (Blackman, Vigna: https://prng.di.unimi.it/xoshiro256starstar.c), seeded by splitmix64.
// Integers only: the distributions of <random> differ between libraries, and floating point between
// compilers.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "holdfast/base/clock.h"
#include "holdfast/base/random.h"

namespace holdfast::sim {

class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) word = mix64(seed += 0x9e3779b97f4a7c15ULL);
  }

  constexpr std::uint64_t next() noexcept {
    const std::uint64_t out = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return out;
  }

  /// Uniform in [0, bound); 0 where bound is 0. Draws until one fits under the mask: two draws at most on
  /// average.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    if (bound <= 1) return 0;
    const std::uint64_t mask = ~std::uint64_t{0} >> std::countl_zero(bound - 1);
    for (;;) {
      const std::uint64_t drawn = next() & mask;
      if (drawn < bound) return drawn;
    }
  }

  /// Uniform in [0, longest].
  constexpr Duration up_to(Duration longest) noexcept {
    if (longest <= Duration::zero()) return Duration::zero();
    return Duration(static_cast<Duration::rep>(below(static_cast<std::uint64_t>(longest.count()) + 1)));
  }

  /// True once in `n` times on average; never where n is 0.
  constexpr bool one_in(std::uint64_t n) noexcept { return n != 0 && below(n) == 0; }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace holdfast::sim
