// The text of PMI-1's wire protocol: lines of "key=value" words, and cards cut into values it can carry.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::fabric::launch::pmi1 {

/// The value of `key` in a reply such as "cmd=get_result rc=0 value=abc\n"; nothing where it has none.
std::optional<std::string_view> field(std::string_view line, std::string_view key);

/// base64url without padding (RFC 4648, section 5): no blanks, no '=', which the protocol's parsers split at.
std::string encode(std::string_view bytes);
/// Nothing where `text` is not such an encoding.
std::optional<std::string> decode(std::string_view text);

/// A card as values of at most `value_bytes` each. The first begins with the number of values and a '.'.
std::vector<std::string> to_values(std::string_view card, std::size_t value_bytes);
/// How many values the one that begins with `first` has; nothing where it does not say.
std::optional<std::size_t> count_of(std::string_view first);
/// Puts the values together again; nothing where they are not what to_values() made.
std::optional<std::string> from_values(const std::vector<std::string>& values);

}  // namespace holdfast::fabric::launch::pmi1
