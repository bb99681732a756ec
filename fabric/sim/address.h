// Addresses on the simulated network: a mark, the process, and which of its endpoints; 12 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "holdfast/fabric/fabric.h"

namespace holdfast::sim {

inline constexpr std::array<std::byte, 4> kAddressMark = {std::byte{'H'}, std::byte{'F'}, std::byte{'S'},
                                                          std::byte{'1'}};
inline constexpr std::size_t kAddressBytes = 12;

constexpr std::uint64_t address_of(std::uint32_t process, std::uint32_t endpoint) noexcept {
  return std::uint64_t{process} << 32 | endpoint;
}

inline fabric::Address wrap_address(std::uint64_t address) {
  fabric::Address out(kAddressMark.begin(), kAddressMark.end());
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<std::byte>(address >> shift & 0xff));
  return out;
}

inline std::optional<std::uint64_t> unwrap_address(std::span<const std::byte> bytes) {
  if (bytes.size() != kAddressBytes) return std::nullopt;
  for (std::size_t i = 0; i < kAddressMark.size(); ++i)
    if (bytes[i] != kAddressMark[i]) return std::nullopt;
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < 8; ++i)
    out |= std::to_integer<std::uint64_t>(bytes[kAddressMark.size() + i]) << (8 * i);
  return out;
}

}  // namespace holdfast::sim
