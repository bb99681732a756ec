// A name that members agree on for an object, e.g. name("halo", rank).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace holdfast {

/// Any text; at most kMaxBytes (longer or empty ones are refused by the calls that take a name). Names are
/// told apart by a 128-bit hash (XXH3): with a million names in a job the chance that any two collide is
/// below 2^-88.
class Name {
 public:
  static constexpr std::size_t kMaxBytes = 1024;

  explicit Name(std::string text) : text_(std::move(text)) {}
  const std::string& text() const noexcept { return text_; }
  friend bool operator==(const Name&, const Name&) = default;

 private:
  std::string text_;
};

namespace detail {
inline std::string name_part(std::string_view text) { return std::string(text); }
template <class Number>
requires std::is_arithmetic_v<Number> std::string name_part(Number number) { return std::to_string(number); }
}  // namespace detail

/// Joins its arguments (text and numbers) with '/': name("halo", 3, 7) is "halo/3/7".
template <class First, class... Rest>
Name name(const First& first, const Rest&... rest) {
  std::string text = detail::name_part(first);
  ((text += '/', text += detail::name_part(rest)), ...);
  return Name(std::move(text));
}

}  // namespace holdfast
