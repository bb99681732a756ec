// What the members of a job do, as far as a forecast needs to know it. The simulator plays it, and a program
// that does the same with a real store (bench/play_workload.cpp), so that the two can be compared.
//
// All patterns: every member puts its objects, all wait for each other, every member gets.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/base/units.h"

namespace holdfast::sim {

enum class Pattern : std::uint8_t {
  shuffle,    ///< all to all: references as tokens, in a letter to each other member
  broadcast,  ///< one to all: rank 0 puts, the others get by name
  random,     ///< objects of all, under names, got by Zipf's law; held from the first get to the end
  outofcore,  ///< the same with arenas too small for the objects: they go to disk and come back
};

/// Errors: invalid, listing the names.
Result<Pattern> parse_pattern(std::string_view name);
std::string_view to_string(Pattern pattern) noexcept;

struct Workload {
  static constexpr std::uint32_t kMostMembers = 16384;
  /// Of one job: the numbers of all must be kept.
  static constexpr std::uint64_t kMostObjects = 1ULL << 24;
  static constexpr std::uint64_t kMostGets = 1ULL << 26;

  Pattern pattern = Pattern::shuffle;
  std::uint32_t members = 2;             ///< 1 to kMostMembers; shuffle and broadcast: at least 2
  std::uint64_t object_bytes = 1 << 20;  ///< 1 to 2^36
  /// shuffle: from each member to each other one; broadcast: of rank 0; else: of each member. At least 1.
  std::uint32_t objects = 16;
  std::uint32_t gets = 64;  ///< of each member, random and outofcore
  /// Zipf's exponent, 0 (all alike) to 10: the k-th object is wanted in proportion to k^-skew.
  double skew = 0;
  std::uint32_t in_flight = 4;  ///< gets a member has under way; 1 to 1024
  std::uint64_t seed = 1;       ///< of what is got

  std::uint64_t objects_of(std::uint32_t rank) const noexcept;  ///< that it puts
  std::uint64_t all_objects() const noexcept;
  std::uint64_t all_gets() const noexcept;
  bool draws() const noexcept { return pattern == Pattern::random || pattern == Pattern::outofcore; }
};

/// Errors: invalid, saying which figure is out of its bounds.
Status check(const Workload& workload);

/// Objects of a workload that draws are numbered 0 to all_objects() - 1. Their owners take turns, so that the
/// most wanted ones lie with different members.
struct ObjectNumber {
  std::uint32_t owner = 0;
  std::uint32_t index = 0;  ///< of the owner's
};
inline ObjectNumber object_number(const Workload& workload, std::uint32_t number) noexcept {
  return {number % workload.members, number / workload.members};
}

/// What each member gets, by Zipf's law. Single-threaded.
class Draws {
 public:
  explicit Draws(const Workload& workload);
  /// The objects that member gets, in order: a function of the workload and the rank.
  std::vector<std::uint32_t> of(std::uint32_t rank) const;

 private:
  const Workload workload_;
  std::vector<std::uint64_t> sums_;  ///< of the objects' weights, up to and with each
};

/// Arena in bytes that each member needs to hold all it puts, and its landing buffers.
std::uint64_t sufficient_arena(const Workload& workload) noexcept;
/// Entries of a catalogue that holds a member's objects and names.
std::uint64_t sufficient_catalogue(const Workload& workload) noexcept;

}  // namespace holdfast::sim
