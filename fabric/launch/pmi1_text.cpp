#include "fabric/launch/pmi1_text.h"

#include <array>
#include <charconv>
#include <cstdint>

namespace holdfast::fabric::launch::pmi1 {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr auto kReverse = [] {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  return table;
}();

/// Room for "16777216." at the head of the first value.
constexpr std::size_t kHeadBytes = 9;

}  // namespace

std::optional<std::string_view> field(std::string_view line, std::string_view key) {
  while (!line.empty()) {
    const std::size_t end = line.find_first_of(" \n");
    const std::string_view word = line.substr(0, end);
    if (word.size() > key.size() && word.starts_with(key) && word[key.size()] == '=')
      return word.substr(key.size() + 1);
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
  }
  return std::nullopt;
}

std::string encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char byte : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(byte);
    for (count += 8; count >= 6; count -= 6) text += kAlphabet[(bits >> (count - 6)) & 63];
  }
  if (count > 0) text += kAlphabet[(bits << (6 - count)) & 63];
  return text;
}

std::optional<std::string> decode(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const std::int8_t value = kReverse[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>((bits >> count) & 255);
    }
  }
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return bytes;
}

std::vector<std::string> to_values(std::string_view card, std::size_t value_bytes) {
  const std::string text = encode(card);
  const std::size_t first = value_bytes - kHeadBytes;
  const std::size_t rest = text.size() > first ? text.size() - first : 0;
  const std::size_t count = 1 + (rest + value_bytes - 1) / value_bytes;
  std::vector<std::string> values;
  values.push_back(std::to_string(count) + '.' + text.substr(0, first));
  for (std::size_t at = first; at < text.size(); at += value_bytes)
    values.push_back(text.substr(at, value_bytes));
  return values;
}

std::optional<std::size_t> count_of(std::string_view first) {
  std::size_t count = 0;
  const auto [at, error] = std::from_chars(first.data(), first.data() + first.size(), count);
  if (error != std::errc() || at == first.data() + first.size() || *at != '.' || count == 0)
    return std::nullopt;
  return count;
}

std::optional<std::string> from_values(const std::vector<std::string>& values) {
  if (values.empty() || count_of(values.front()) != values.size()) return std::nullopt;
  std::string text = values.front().substr(values.front().find('.') + 1);
  for (std::size_t i = 1; i < values.size(); ++i) text += values[i];
  return decode(text);
}

}  // namespace holdfast::fabric::launch::pmi1
