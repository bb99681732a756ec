#include "holdfast/sim/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "holdfast/fabric/sim/random.h"

namespace holdfast::sim {
namespace {

constexpr std::array<std::string_view, 4> kPatterns = {"shuffle", "broadcast", "random", "outofcore"};
constexpr std::uint64_t kMostObjectBytes = std::uint64_t{1} << 36;
constexpr std::uint64_t kGetStream = 0x676574;  // of the seed, apart from what the simulation draws

// Of an object: header, table and rounding at most, beside one byte in 512 for checksums.
constexpr std::uint64_t kBlockOverhead = 512;
constexpr std::uint64_t kEntryBytes = 107;

tl::unexpected<Error> bad(std::string detail) { return fail(Code::invalid, "simulate", std::move(detail)); }

}  // namespace

Result<Pattern> parse_pattern(std::string_view name) {
  const auto* const found = std::ranges::find(kPatterns, name);
  if (found == kPatterns.end())
    return bad(fmt::format("\"{}\" is no workload; there are {}", name, fmt::join(kPatterns, ", ")));
  return static_cast<Pattern>(found - kPatterns.begin());
}

std::string_view to_string(Pattern pattern) noexcept { return kPatterns[static_cast<std::size_t>(pattern)]; }

std::uint64_t Workload::objects_of(std::uint32_t rank) const noexcept {
  if (pattern == Pattern::shuffle) return std::uint64_t{objects} * (members - 1);
  return pattern != Pattern::broadcast || rank == 0 ? objects : 0;
}

std::uint64_t Workload::all_objects() const noexcept {
  return pattern == Pattern::broadcast ? objects : objects_of(0) * members;
}

std::uint64_t Workload::all_gets() const noexcept {
  if (pattern == Pattern::shuffle) return all_objects();
  if (pattern == Pattern::broadcast) return std::uint64_t{objects} * (members - 1);
  return std::uint64_t{gets} * members;
}

Status check(const Workload& it) {
  const bool talks = it.pattern == Pattern::shuffle || it.pattern == Pattern::broadcast;
  const std::uint32_t least = talks ? 2 : 1;
  if (it.members < least || it.members > Workload::kMostMembers)
    return bad(fmt::format("{} members; a {} is simulated with {} to {}", it.members, to_string(it.pattern),
                           least, Workload::kMostMembers));
  if (it.object_bytes < 1 || it.object_bytes > kMostObjectBytes)
    return bad(fmt::format("objects of {} bytes; they can have 1 byte to {}", it.object_bytes,
                           format_bytes(kMostObjectBytes)));
  if (it.objects < 1) return bad("0 objects; there must be at least 1");
  if (it.draws() && it.gets < 1) return bad("0 gets a member; there must be at least 1");
  if (!(it.skew >= 0 && it.skew <= 10)) return bad(fmt::format("a skew of {}; it is 0 to 10", it.skew));
  if (it.in_flight < 1 || it.in_flight > 1024)
    return bad(fmt::format("{} gets in flight; there are 1 to 1024", it.in_flight));
  if (it.all_objects() > Workload::kMostObjects)
    return bad(
        fmt::format("{} objects in all; at most {} are simulated", it.all_objects(), Workload::kMostObjects));
  if (it.all_gets() > Workload::kMostGets)
    return bad(fmt::format("{} gets in all; at most {} are simulated", it.all_gets(), Workload::kMostGets));
  return {};
}

Draws::Draws(const Workload& workload) : workload_(workload) {
  if (!workload.draws()) return;
  // Whole numbers, so that the last digits of pow() do not decide what is drawn.
  constexpr double kScale = 4294967296.0;
  std::uint64_t sum = 0;
  sums_.reserve(workload.all_objects());
  for (std::uint64_t k = 1; k <= workload.all_objects(); ++k) {
    const double weight = std::pow(static_cast<double>(k), -workload.skew);
    sum += std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::llround(weight * kScale)));
    sums_.push_back(sum);
  }
}

std::vector<std::uint32_t> Draws::of(std::uint32_t rank) const {
  std::vector<std::uint32_t> drawn;
  if (!workload_.draws()) return drawn;
  Random random(workload_.seed ^ mix64(kGetStream + rank));
  drawn.reserve(workload_.gets);
  for (std::uint32_t i = 0; i < workload_.gets; ++i) {
    const auto found = std::ranges::upper_bound(sums_, random.below(sums_.back()));
    drawn.push_back(static_cast<std::uint32_t>(found - sums_.begin()));
  }
  return drawn;
}

std::uint64_t sufficient_catalogue(const Workload& workload) noexcept {
  // Names are spread by a hash: some members have more than their share.
  return std::max<std::uint64_t>(256, 4 * workload.objects_of(0) + 64);
}

std::uint64_t sufficient_arena(const Workload& workload) noexcept {
  const std::uint64_t block = workload.object_bytes + workload.object_bytes / 512 + kBlockOverhead;
  // A letter has a token for each object.
  const std::uint64_t letters =
      workload.pattern == Pattern::shuffle ? std::uint64_t{workload.members} * kBlockOverhead : 0;
  const std::uint64_t own = workload.objects_of(0) * (block + kBlockOverhead / 2) + letters;
  const std::uint64_t landing = std::uint64_t{workload.in_flight + 1} * block;
  const std::uint64_t all = (own + landing) / 4 * 5 + sufficient_catalogue(workload) * kEntryBytes;
  return align_up(all + 1_MiB, 1_MiB);
}

}  // namespace holdfast::sim
