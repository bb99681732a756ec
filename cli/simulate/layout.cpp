#include "cli/simulate/layout.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <sstream>

namespace holdfast::cli {
namespace {

constexpr std::uint32_t kMost = 1U << 20;

tl::unexpected<Error> bad(std::string detail) {
  return fail(Code::invalid, "holdfast simulate",
              std::move(detail) +
                  "; a topology is HOSTSxMEMBERS, as 4x8, or keys of hosts, per-host, racks, "
                  "oversubscription, cores, as hosts=16,per-host=4,racks=2");
}

template <class Number>
std::optional<Number> number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

Status set(Layout& layout, const std::string& key, const std::string& value) {
  if (key == "oversubscription") {
    const auto ratio = number<double>(value);
    if (!ratio || !(*ratio >= 0.1 && *ratio <= 1000))
      return bad(fmt::format("oversubscription is \"{}\", must be 0.1 to 1000", value));
    layout.oversubscription = *ratio;
    return {};
  }
  std::uint32_t* const figure = key == "hosts"      ? &layout.hosts
                                : key == "per-host" ? &layout.per_host
                                : key == "racks"    ? &layout.racks
                                : key == "cores"    ? &layout.cores
                                                    : nullptr;
  if (figure == nullptr) return bad(fmt::format("\"{}\" is no key of a topology", key));
  const auto count = number<std::uint32_t>(value);
  if (!count || *count < 1 || *count > kMost)
    return bad(fmt::format("{} is \"{}\", must be 1 to {}", key, value, kMost));
  *figure = *count;
  return {};
}

}  // namespace

Result<Layout> parse_layout(const std::string& text) {
  Layout layout;
  if (text.find('=') == std::string::npos) {
    const std::size_t times = text.find('x');
    if (times == std::string::npos) return bad(fmt::format("\"{}\" is no topology", text));
    HOLDFAST_DO(set(layout, "hosts", text.substr(0, times)));
    HOLDFAST_DO(set(layout, "per-host", text.substr(times + 1)));
    return layout;
  }
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) return bad(fmt::format("\"{}\" has no value", word));
    HOLDFAST_DO(set(layout, word.substr(0, equals), word.substr(equals + 1)));
  }
  if (layout.racks > layout.hosts)
    return bad(fmt::format("{} racks for {} hosts leave racks empty", layout.racks, layout.hosts));
  if (layout.oversubscription != 1 && layout.racks == 1)
    return bad("oversubscription is of the links between racks, and all hosts are in one; give racks");
  return layout;
}

}  // namespace holdfast::cli
