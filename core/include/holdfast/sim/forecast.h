// How long a workload would take on a machine that is described by its costs: the production protocols of all
// members, played on a simulated network under virtual time. For `holdfast simulate`; docs/simulate.md tells
// how far it can be trusted.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/fabric/sim/disk.h"
#include "holdfast/fabric/sim/network.h"
#include "holdfast/options.h"
#include "holdfast/sim/workload.h"

namespace holdfast::sim {

/// What an operation takes, by the size of its object: linear between measured points, and beyond the last
/// with `ns_per_byte_beyond`.
struct CostCurve {
  struct Point {
    double bytes = 0;
    double ns = 0;
  };
  std::vector<Point> points;  ///< by growing size; at least one
  double ns_per_byte_beyond = 0;

  Duration of(std::uint64_t bytes) const;
};

/// What the library's own work costs the thread that asks for it. Gets through the fabric are part of the
/// network's costs.
struct WorkCosts {
  CostCurve put;         ///< copy and checksum
  CostCurve get_own;     ///< find, pin, check, release
  CostCurve get_shared;  ///< of another process on the host
  /// A name's home is the member with the highest of a hash over the name and each of them.
  double name_ns_per_member = 0;
};

struct ForecastOptions {
  Workload workload;
  std::uint32_t members_per_host = 1;  ///< ranks fill one host after the other
  std::uint32_t hosts = 0;             ///< of the cluster; 0: as many as the members take
  std::uint32_t racks = 1;             ///< which share the hosts evenly: some may have one more than others
  SameHost same_host = SameHost::memory;
  std::uint64_t arena_bytes = 0;  ///< of each member; 0: sufficient_arena()
  std::uint32_t disks = 0;        ///< of each host, shared evenly by its members
  NetworkOptions network;         ///< a core for each thread, where it does not count them
  DiskOptions disk;
  WorkCosts work;
  std::uint64_t seed = 1;  ///< of what the simulation draws
};

/// Where the payload of gets came from.
enum class Path : std::uint8_t { own_memory, host_memory, host_fabric, same_rack, across_racks };
inline constexpr std::size_t kPaths = 5;

struct PathTraffic {
  std::uint64_t gets = 0;
  std::uint64_t payload_bytes = 0;
  /// What the network carried for it, with headers, checksums, look-ups and messages; nothing by memory.
  std::uint64_t network_bytes = 0;
};

struct Forecast {
  Duration put_time{0};  ///< until the last member has put all
  Duration get_time{0};  ///< from then until the last one has got all
  std::uint64_t puts = 0, put_bytes = 0;
  std::uint64_t gets = 0, get_bytes = 0;
  std::array<PathTraffic, kPaths> paths;  ///< by Path
  /// Of the host whose link carried most, in its busier direction, and the share of the time it was busy.
  std::uint64_t busiest_link_bytes = 0;
  double busiest_link_share = 0;
  std::vector<NicStats> host_links;  ///< by host that has members: what crossed its link, of puts and gets
  std::vector<NicStats> uplinks;     ///< by rack that has members: what left it and came to it
  std::uint64_t gets_from_disk = 0;  ///< that had to wait for it
  std::uint64_t spills = 0, spilled_bytes = 0;
  std::uint64_t restores = 0, restored_bytes = 0;
  std::uint64_t evictions = 0;
  std::uint64_t messages = 0;            ///< of all kinds
  std::uint64_t reference_messages = 0;  ///< of which for references: holds, drops, tokens, probes
  std::uint64_t reference_bytes = 0;     ///< of those and the answers to them, with headers
  std::uint64_t events = 0;              ///< that the simulation took
  std::uint64_t trace = 0;               ///< a hash over them: the same for two runs that did the same

  const PathTraffic& of(Path path) const { return paths[static_cast<std::size_t>(path)]; }
  double hit_ratio() const noexcept;  ///< share of gets that found their object in memory
};

/// Bytes of this machine's memory that forecast() will take, about: it moves the real bytes.
std::uint64_t memory_for(const ForecastOptions& options) noexcept;

/// The rack of a host where `hosts` are spread evenly over `racks`, the first ones in the first.
constexpr std::uint32_t rack_of(std::uint32_t host, std::uint32_t hosts, std::uint32_t racks) noexcept {
  return static_cast<std::uint32_t>(std::uint64_t{host} * racks / hosts);
}

/// Errors: invalid (figures out of bounds, an arena too small for the workload), full and system (memory),
/// and what an operation of the workload gave.
Result<Forecast> forecast(const ForecastOptions& options);

}  // namespace holdfast::sim
