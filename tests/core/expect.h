// What the tests of the store say often: assertions on results, and payloads that can be recognised.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "holdfast/base/random.h"
#include "holdfast/base/result.h"

namespace holdfast::test {

/// The result holds a value; the failure message is the error's.
template <class T>
::testing::AssertionResult good(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().message();
}

/// The result is an error of this code, and its detail contains `part`.
template <class T>
::testing::AssertionResult fails(const Result<T>& result, Code code, std::string_view part = {}) {
  if (result) return ::testing::AssertionFailure() << "succeeded, but " << to_string(code) << " was expected";
  if (result.error().code != code)
    return ::testing::AssertionFailure()
           << to_string(code) << " was expected, not " << result.error().message();
  if (result.error().message().find(part) == std::string::npos)
    return ::testing::AssertionFailure() << "\"" << part << "\" is missing in: " << result.error().message();
  return ::testing::AssertionSuccess();
}

// Payloads that can be recognised. In a file of their own, which is optimised: tests look at gigabytes.

/// Byte `i` of the payload that belongs to `seed`.
std::byte pattern_byte(std::uint64_t seed, std::uint64_t i) noexcept;

void fill_pattern(std::span<std::byte> bytes, std::uint64_t seed) noexcept;

std::vector<std::byte> pattern(std::uint64_t size, std::uint64_t seed);

/// True if `bytes` are those of `seed`'s payload from `offset` on.
bool is_pattern(std::span<const std::byte> bytes, std::uint64_t seed, std::uint64_t offset = 0) noexcept;

/// Random numbers that replay from their seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept { return mix64(state_ += 0x9e3779b97f4a7c15ULL); }
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace holdfast::test
