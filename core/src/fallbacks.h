// Memory that a member did not get as it should be: who says so.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "holdfast/numa/arena.h"

namespace holdfast {

class Peers;

/// Whether a user should hear of what a segment got. That its pages are only not the largest is no matter.
bool fell_back(const numa::SegmentReport& segment) noexcept;

/// What those that fell back got, for the member's card: equal for members that have the same to say, empty
/// where there is nothing. Without reasons, whose figures differ from member to member.
std::string fallbacks_of(std::span<const numa::SegmentReport> segments);

/// How many members of this host, this one among them, have `fallbacks` to say, as their cards do; 0 where
/// another, of a lower rank, says it.
std::uint32_t speaks_for(const Peers& peers, std::string_view fallbacks);

}  // namespace holdfast
