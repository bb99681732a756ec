// The ways to find one's peers, one file each. Private to fabric/launch and its tests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/fabric/launch.h"

namespace holdfast::fabric::launch {

inline constexpr std::string_view kOperation = "Launch::find";
inline constexpr std::string_view kExchange = "Launch::exchange";

/// Largest card that exchange() takes (launch.h promises it).
inline constexpr std::size_t kMaxCardBytes = std::size_t{64} * 1024;

/// Longest name of a job.
inline constexpr std::size_t kMaxJobBytes = 4096;

/// Most ranks a job may have. Far above any real job: it only keeps a mistyped size from asking for all
/// memory.
inline constexpr std::uint32_t kMaxRanks = 1U << 22;

struct RendezvousOptions {
  std::string directory;  ///< seen by all ranks
  std::uint32_t rank = 0;
  std::uint32_t size = 1;
  std::string job;
};

/// Rank 0 of 1.
std::unique_ptr<Launch> open_alone();

/// Meets in a directory. Errors: invalid (no such directory, rank outside size), denied, system.
Result<std::unique_ptr<Launch>> open_rendezvous(const RendezvousOptions& options,
                                                const Clock& clock = real_clock());

/// Asks the PMIx server named by the environment. Errors: system.
Result<std::unique_ptr<Launch>> open_pmix(const Clock& clock = real_clock());

/// Speaks PMI-1 over PMI_FD. Errors: invalid (variables missing or malformed), system.
Result<std::unique_ptr<Launch>> open_pmi1(const Clock& clock = real_clock());

/// A variable that a launcher of others sets, none of HOLDFAST_; nothing where it is unset or empty. Valid
/// until the environment is changed.
std::optional<std::string_view> launcher_variable(const char* name);

/// Refuses cards that are too large.
Status check_card(std::string_view card);

/// "rank 3", "ranks 1, 4 and 7", at most 16 by number, then "and 12 more".
std::string list_ranks(std::span<const std::uint32_t> ranks);

/// A whole number from text. Errors: invalid, naming `what`.
Result<std::uint32_t> parse_count(std::string_view what, std::string_view text);

}  // namespace holdfast::fabric::launch
