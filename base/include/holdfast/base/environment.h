// The environment, read in one place. Every variable Holdfast knows stands in this table and in
// docs/configuration.md (a test compares them); an unknown HOLDFAST_ variable is an error, so that a
// misspelt one cannot be ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"

namespace holdfast {

enum class Variable : std::uint8_t {
  arena,           ///< HOLDFAST_ARENA: bytes of arena a member
  catalogue,       ///< HOLDFAST_CATALOGUE: entries the catalogue can hold
  pages,           ///< HOLDFAST_PAGES: page policy
  nodes,           ///< HOLDFAST_NODES: NUMA nodes to use
  provider,        ///< HOLDFAST_PROVIDER: libfabric provider
  interface,       ///< HOLDFAST_INTERFACE: network interface or fabric domain
  same_host,       ///< HOLDFAST_SAME_HOST: memory or fabric
  verify,          ///< HOLDFAST_VERIFY: which gets check payload checksums
  open_timeout,    ///< HOLDFAST_OPEN_TIMEOUT: seconds
  placement,       ///< HOLDFAST_PLACEMENT: local or interleave
  collect,         ///< HOLDFAST_COLLECT: lazy or eager
  eviction,        ///< HOLDFAST_EVICTION: lru or s3_fifo
  token_lifetime,  ///< HOLDFAST_TOKEN_LIFETIME: seconds
  member_timeout,  ///< HOLDFAST_MEMBER_TIMEOUT: seconds
  spill,           ///< HOLDFAST_SPILL: directories to spill to
  spill_above,     ///< HOLDFAST_SPILL_ABOVE: percent of the arena
  log,             ///< HOLDFAST_LOG: log level
  launcher,        ///< HOLDFAST_LAUNCHER: forces one way of finding the peers
  rank,            ///< HOLDFAST_RANK: rank, set by holdfast-run
  size,            ///< HOLDFAST_SIZE: number of ranks, set by holdfast-run
  job,             ///< HOLDFAST_JOB: job name, set by holdfast-run
  rendezvous,      ///< HOLDFAST_RENDEZVOUS: shared directory, set by holdfast-run
  bench_spill,     ///< HOLDFAST_BENCH_SPILL: directory the spilling benchmark writes to
};

struct VariableInfo {
  Variable variable;
  std::string_view name;     ///< "HOLDFAST_ARENA"
  std::string_view meaning;  ///< one line for help and errors
};

/// All variables, in the order of the enum.
std::span<const VariableInfo> known_variables() noexcept;

/// The values of all known variables at one moment.
class Environment {
 public:
  /// Reads this process's environment. Errors: invalid (an unknown HOLDFAST_ variable; the nearest known
  /// one is suggested).
  static Result<Environment> read();

  /// The same from given "NAME=value" strings; others than HOLDFAST_ ones are passed over.
  static Result<Environment> parse(std::span<const std::string_view> assignments);

  /// The value, or nothing where the variable is unset or empty.
  std::optional<std::string_view> get(Variable variable) const;

 private:
  std::vector<std::optional<std::string>> values_;
};

}  // namespace holdfast
