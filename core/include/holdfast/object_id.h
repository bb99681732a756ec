// What names an object: 128 bits that are never used twice.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "holdfast/base/random.h"
#include "holdfast/base/result.h"

namespace holdfast {

/// The rank of a member in its job.
struct MemberId {
  std::uint32_t value = 0;
  friend auto operator<=>(const MemberId&, const MemberId&) = default;
};

/// The high half is the owner's incarnation (random, 64 bits), the low half counts its objects. A value.
struct ObjectId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  static constexpr std::size_t kBytes = 16;
  static constexpr std::size_t kHexDigits = 32;

  /// 32 lower-case hexadecimal digits, high half first.
  std::string to_hex() const;
  /// Errors: invalid (not exactly 32 hexadecimal digits).
  static Result<ObjectId> from_hex(std::string_view text);

  /// 16 bytes, big-endian: the order of the bytes is the order of the ids.
  std::array<std::byte, kBytes> to_bytes() const noexcept;
  static ObjectId from_bytes(const std::array<std::byte, kBytes>& bytes) noexcept;

  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
};

}  // namespace holdfast

template <>
struct std::hash<holdfast::ObjectId> {
  std::size_t operator()(const holdfast::ObjectId& id) const noexcept {
    return holdfast::mix64(id.high ^ holdfast::mix64(id.low));
  }
};
