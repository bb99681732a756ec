#include <array>

#include "holdfast/numa/arena.h"

namespace holdfast::numa {
namespace {

constexpr std::array kAllPages = {Pages::base, Pages::transparent, Pages::huge_2m, Pages::huge_1g};

}  // namespace

std::string_view to_string(Pages pages) noexcept {
  switch (pages) {
    case Pages::base:
      return "base";
    case Pages::transparent:
      return "transparent";
    case Pages::huge_2m:
      return "2MiB";
    case Pages::huge_1g:
      return "1GiB";
  }
  return "unknown";
}

Result<PagePolicy> PagePolicy::parse(std::string_view text) {
  PagePolicy policy;
  std::string_view pages = text;
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    const std::string_view demand = text.substr(0, colon);
    if (demand != "prefer" && demand != "require") pages = {};
    policy.demand = demand == "require" ? Demand::require : Demand::prefer;
    if (!pages.empty()) pages = text.substr(colon + 1);
  }
  for (const Pages candidate : kAllPages) {
    if (pages != to_string(candidate)) continue;
    policy.largest = candidate;
    return policy;
  }
  return fail(Code::invalid, "PagePolicy::parse",
              "'" + std::string(text) +
                  "' is no page policy; use 1GiB, 2MiB, transparent or base, with 'prefer:' (the default) or "
                  "'require:' before it, such as require:2MiB");
}

}  // namespace holdfast::numa
