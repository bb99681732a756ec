// What a check of `holdfast doctor` says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::cli {

enum class Health : std::uint8_t {
  ok,
  warning,  ///< works, but slower or with less than this machine could give
  problem,  ///< a store will not open, or not as the environment asks
};

constexpr std::string_view to_string(Health health) noexcept {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::warning:
      return "warning";
    case Health::problem:
      return "problem";
  }
  return "unknown";
}

struct Finding {
  std::string check;  ///< "huge pages"
  Health health = Health::ok;
  std::string found;  ///< one sentence
  std::string fix;    ///< a command, or what to change; empty where there is nothing to mend
};

}  // namespace holdfast::cli
