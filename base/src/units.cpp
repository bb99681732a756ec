#include "holdfast/base/units.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>

namespace holdfast {

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Code::invalid, "parse_bytes",
                fmt::format("\"{}\" is not a size: {}; write a number and a unit, as in 4GiB, 512MiB or 4096",
                            text, why));
  };
  std::string_view rest = text;
  while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.front()))) rest.remove_prefix(1);
  while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.back()))) rest.remove_suffix(1);
  if (rest.empty()) return bad("it is empty");

  double number = 0;
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
  if (error != std::errc() || number < 0) return bad("no number at its start");
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest.front()))) rest.remove_prefix(1);

  int shift = 0;
  if (!rest.empty()) {
    switch (std::tolower(static_cast<unsigned char>(rest.front()))) {
      case 'b':
        shift = 0;
        break;
      case 'k':
        shift = 10;
        break;
      case 'm':
        shift = 20;
        break;
      case 'g':
        shift = 30;
        break;
      case 't':
        shift = 40;
        break;
      default:
        return bad("unknown unit");
    }
    std::string_view suffix = rest.substr(1);
    if (shift == 0 ? !suffix.empty()
                   : !(suffix.empty() || suffix == "B" || suffix == "b" || suffix == "iB" || suffix == "ib"))
      return bad("unknown unit");
  }
  const double bytes = std::ldexp(number, shift);
  if (!(bytes < 0x1p63)) return bad("more than 2^63 bytes");
  return static_cast<std::uint64_t>(bytes);
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.4g} {}", value, kUnits[unit]);
}

}  // namespace holdfast
