// Where the members of a forecast run: `--topology`.
#pragma once

#include <cstdint>
#include <string>

#include "holdfast/base/result.h"

namespace holdfast::cli {

struct Layout {
  std::uint32_t hosts = 1;
  std::uint32_t per_host = 1;  ///< members; ranks fill one host after the other
  std::uint32_t racks = 1;     ///< hosts are spread evenly, the first ones in the first
  double oversubscription = 1;
  std::uint32_t cores = 0;  ///< of a host; 0: as many as there are threads

  std::uint64_t places() const noexcept { return std::uint64_t{hosts} * per_host; }
  /// Of the fullest rack; others may have one less.
  std::uint32_t hosts_per_rack() const noexcept { return (hosts + racks - 1) / racks; }
};

/// "4x8" (4 hosts with 8 members each), or keys: "hosts=16,per-host=4,racks=2,oversubscription=2,cores=64".
/// Errors: invalid, naming the word.
Result<Layout> parse_layout(const std::string& text);

}  // namespace holdfast::cli
