#include "src/fallbacks.h"

#include <fmt/format.h>

#include "src/peers.h"

namespace holdfast {

bool fell_back(const numa::SegmentReport& segment) noexcept {
  return !segment.note.empty() && !(segment.bound && segment.pages >= numa::Pages::huge_2m);
}

std::string fallbacks_of(std::span<const numa::SegmentReport> segments) {
  std::string text;
  for (const numa::SegmentReport& segment : segments)
    if (fell_back(segment))
      text += fmt::format("{}:{}{};", segment.asked.value, to_string(segment.pages),
                          segment.bound ? "" : " unbound");
  return text;
}

std::uint32_t speaks_for(const Peers& peers, std::string_view fallbacks) {
  // What has come up since the cards were written is known to nobody else.
  if (peers.card(peers.self()).fallbacks != fallbacks) return 1;
  std::uint32_t count = 0;
  for (MemberId member{0}; member.value < peers.size(); ++member.value) {
    if (!peers.shares_host(member) || peers.card(member).fallbacks != fallbacks) continue;
    if (member.value < peers.self().value) return 0;
    ++count;
  }
  return count;
}

}  // namespace holdfast
