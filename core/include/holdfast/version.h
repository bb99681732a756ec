// The library's version, and the version of what members say to each other.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

/// "0.1.0"
std::string_view version() noexcept;

/// Members with different protocol versions refuse each other when the job starts.
inline constexpr std::uint32_t kProtocolVersion = 5;

}  // namespace holdfast
