// What operations cost on a machine: read from what `holdfast bench --json` wrote there; what that lacks has
// a default. Turned into the figures that the simulator works with.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/sim/forecast.h"

namespace holdfast::cli {

enum class FabricKind : std::uint8_t {
  tcp,   ///< processors move the bytes, the owner's, too
  rdma,  ///< NICs do
};

/// One figure, and where it is from: the case of the benchmark, an option, or "default".
struct CostFigure {
  std::string name;
  double value = 0;
  std::string unit;  ///< "ns", "B/s", "/s"
  std::string source;
};

struct Costs {
  FabricKind fabric = FabricKind::rdma;
  std::string fabric_source;
  double remote_get_ns = 0;       ///< of 8 bytes, by reference
  double remote_gets_per_s = 0;   ///< small ones, many under way
  double remote_bytes_per_s = 0;  ///< of large ones
  double disk_write_bytes_per_s = 0;
  double disk_read_bytes_per_s = 0;
  double disk_latency_ns = 0;
  sim::WorkCosts work;
  std::vector<CostFigure> figures;  ///< all of these, for people
};

/// The text of a file that `holdfast bench --json` wrote; nothing: all defaults. `fabric`: instead of what
/// the file says. Disk figures are those measured with objects nearest to `object_bytes`. Errors: invalid
/// (not such a file, or one without any figure that is needed).
Result<Costs> read_costs(const std::optional<std::string>& text, std::optional<FabricKind> fabric,
                         std::uint64_t object_bytes);

/// What the user knows better than a benchmark of one machine. Zero: nothing.
struct LinkChoices {
  double link_bytes_per_s = 0;       ///< of a host's link; else as fast as large gets
  double latency_ns = 0;             ///< one way, within a rack; else a share of the time of a small get
  double core_latency_ns = 0;        ///< one way, in addition, between racks; else as much as within one
  double oversubscription = 1;       ///< of a rack's uplink: what its hosts could send, by what gets through
  std::uint32_t hosts_per_rack = 1;  ///< of the fullest: all uplinks are alike
  std::uint32_t cores = 0;           ///< a host; 0: as many as there are threads
};

/// LogGP figures such that on an idle network a get of 8 bytes takes what was measured, and large ones come
/// as fast as was measured. Adds what it took from `choices` or assumed to the figures.
sim::NetworkOptions network_of(Costs& costs, const LinkChoices& choices);
sim::DiskOptions disk_of(const Costs& costs);

}  // namespace holdfast::cli
