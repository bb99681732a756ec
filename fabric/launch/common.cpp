// What all launchers share: their variables, limits, and how ranks are named in errors.
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "fabric/launch/launchers.h"

namespace holdfast::fabric::launch {

std::optional<std::string_view> launcher_variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here calls setenv
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Status check_card(std::string_view card) {
  if (card.size() <= kMaxCardBytes) return {};
  return fail(Code::invalid, kExchange,
              fmt::format("a card of {} bytes; at most {} can be exchanged", card.size(), kMaxCardBytes));
}

std::string list_ranks(std::span<const std::uint32_t> ranks) {
  constexpr std::size_t kNamed = 16;
  if (ranks.empty()) return "no rank";
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  const std::size_t named = std::min(ranks.size(), kNamed);
  for (std::size_t i = 0; i < named; ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += fmt::format("{}", ranks[i]);
  }
  if (ranks.size() > named) text += fmt::format(" and {} more", ranks.size() - named);
  return text;
}

Result<std::uint32_t> parse_count(std::string_view what, std::string_view text) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || text.empty())
    return fail(Code::invalid, kOperation, fmt::format("{}=\"{}\" is not a whole number", what, text));
  return value;
}

}  // namespace holdfast::fabric::launch
