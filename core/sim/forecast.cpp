#include "holdfast/sim/forecast.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "holdfast/base/check.h"
#include "sim/worker.h"

namespace holdfast::sim {
namespace {

// After the gets: what was dropped is reported within 5 ms, and the answers come.
constexpr Duration kSettling = std::chrono::milliseconds(50);

// Tokens are redeemed when all have put, however long that takes.
constexpr Duration kTokenLifetime = std::chrono::hours(24);

constexpr std::uint64_t kLeastBuffers = 4 * 64_KiB;

tl::unexpected<Error> bad(std::string detail) { return fail(Code::invalid, "simulate", std::move(detail)); }

/// Hosts that have members.
std::uint32_t hosts_taken(const ForecastOptions& options) noexcept {
  return (options.workload.members - 1) / options.members_per_host + 1;
}

std::uint32_t hosts_of(const ForecastOptions& options) noexcept {
  return options.hosts > 0 ? options.hosts : hosts_taken(options);
}

Status check_places(const ForecastOptions& options) {
  if (options.members_per_host < 1 || options.racks < 1)
    return bad("a host has at least one member, and a cluster at least one rack");
  const std::uint32_t hosts = hosts_of(options);
  if (hosts_taken(options) > hosts)
    return bad(fmt::format("{} members do not fit on {} hosts with {} each", options.workload.members, hosts,
                           options.members_per_host));
  if (options.racks > hosts)
    return bad(fmt::format("{} racks for {} hosts leave racks empty", options.racks, hosts));
  return {};
}

Status check_options(const ForecastOptions& options) {
  HOLDFAST_DO(check(options.workload));
  HOLDFAST_DO(check_places(options));
  if (options.work.put.points.empty() || options.work.get_own.points.empty() ||
      options.work.get_shared.points.empty())
    return bad("the costs of puts and gets have no point");
  const Workload& workload = options.workload;
  const std::uint64_t arena = options.arena_bytes;
  if (workload.pattern == Pattern::outofcore && options.disks == 0)
    return bad("a working set larger than the arenas needs disks to spill to");
  if (arena == 0) return {};
  if (workload.pattern == Pattern::outofcore) {
    if (workload.object_bytes * workload.objects <= arena)
      return bad(
          fmt::format("all {} objects of a member fit into an arena of {}; out of core means they do not",
                      workload.objects, format_bytes(arena)));
  } else if (workload.object_bytes * workload.objects_of(0) > arena) {
    return bad(fmt::format("{} objects of {} do not fit into an arena of {}; {} would do",
                           workload.objects_of(0), format_bytes(workload.object_bytes), format_bytes(arena),
                           format_bytes(sufficient_arena(workload))));
  }
  return {};
}

std::uint64_t arena_of(const ForecastOptions& options) noexcept {
  return options.arena_bytes > 0 ? options.arena_bytes : sufficient_arena(options.workload);
}

SpillOptions spill_options(const ForecastOptions& options) noexcept {
  SpillOptions spill;
  // Thousands of members with the buffers of a real one would not fit this machine.
  const std::uint64_t most = align_up(std::max(arena_of(options) / 8, kLeastBuffers), 256_KiB);
  spill.bytes_in_flight = std::min(spill.bytes_in_flight, most);
  spill.transfer_bytes = std::min(spill.transfer_bytes, align_down(spill.bytes_in_flight / 4, 64_KiB));
  return spill;
}

ClusterOptions cluster_options(const ForecastOptions& options) {
  ClusterOptions cluster;
  cluster.members = options.workload.members;
  cluster.members_per_host = options.members_per_host;
  for (std::uint32_t host = 0; host < hosts_taken(options); ++host)
    cluster.racks.push_back(rack_of(host, hosts_of(options), options.racks));
  cluster.network = options.network;
  cluster.network.core_a_thread = true;
  cluster.network.trace_contents = false;
  cluster.disk = options.disk;
  cluster.disk.trace_contents = false;
  cluster.host_disks = options.disks;
  cluster.life.arena_bytes = arena_of(options);
  cluster.life.catalogue_entries = sufficient_catalogue(options.workload);
  cluster.life.pins = std::max<std::uint32_t>(64, 2 * options.workload.in_flight);
  cluster.life.same_host = options.same_host;
  cluster.life.spill = spill_options(options);
  cluster.life.lifetime.token_lifetime = kTokenLifetime;
  return cluster;
}

class Run {
 public:
  Run(const ForecastOptions& options, Cluster& cluster) : cluster_(cluster), script_(options) {
    for (std::uint32_t rank = 0; rank < cluster.size(); ++rank)
      workers_.push_back(std::make_unique<Worker>(cluster, script_, rank));
  }

  Result<Forecast> play() {
    HOLDFAST_TRY(out_.put_time, on_all(&Worker::put_all));
    const std::vector<NicStats> before = links();
    HOLDFAST_TRY(out_.get_time, on_all(&Worker::get_all));
    find_busiest(before);
    for (const auto& worker : workers_) worker->drop_all();
    cluster_.timeline().run_for(kSettling);
    sum_up();
    return out_;
  }

 private:
  /// Runs the phase on every member until all have ended; the virtual time it took.
  Result<Duration> on_all(Task<Status> (Worker::*phase)()) {
    const TimePoint start = cluster_.timeline().now();
    TimePoint last = start;
    std::uint32_t left = cluster_.size();
    Status first;
    for (std::uint32_t rank = 0; rank < cluster_.size(); ++rank) {
      spawn((*workers_[rank].*phase)(), [&, rank](Status ended) {
        if (!ended && first)
          first = fail(ended.error().code, "simulate",
                       fmt::format("member {}: {}", rank, ended.error().message()));
        --left;
        last = cluster_.timeline().now();
      });
      cluster_.life({rank})->nudge();
    }
    // Also after an error: what has started must end before the members go.
    while (left > 0) HOLDFAST_CHECK(cluster_.timeline().step(), "an operation of the workload never ends");
    if (!first) return tl::unexpected(first.error());
    return last - start;
  }

  /// By host.
  std::vector<NicStats> links() const {
    std::vector<NicStats> all;
    const std::uint32_t hosts = cluster_.host({cluster_.size() - 1}).value + 1;
    for (std::uint32_t host = 0; host < hosts; ++host) all.push_back(cluster_.network().nic(HostId{host}));
    return all;
  }

  void find_busiest(const std::vector<NicStats>& before) {
    const std::vector<NicStats> now = links();
    for (std::size_t host = 0; host < now.size(); ++host)
      out_.busiest_link_bytes =
          std::max({out_.busiest_link_bytes, now[host].bytes_out - before[host].bytes_out,
                    now[host].bytes_in - before[host].bytes_in});
    const auto seconds = static_cast<double>(out_.get_time.count()) / 1e9;
    const auto rate = static_cast<double>(cluster_.network().options().same_rack.bytes_per_second);
    if (seconds > 0) out_.busiest_link_share = static_cast<double>(out_.busiest_link_bytes) / rate / seconds;
  }

  void sum_up() {
    for (std::uint32_t rank = 0; rank < cluster_.size(); ++rank) {
      add(workers_[rank]->tally());
      add(cluster_.life({rank})->job());
      out_.reference_bytes += cluster_.life({rank})->reference_bytes_received();
    }
    out_.host_links = links();
    for (std::uint32_t rack = 0; rack < cluster_.network().racks(); ++rack)
      out_.uplinks.push_back(cluster_.network().uplink(rack));
    const NetworkStats stats = cluster_.network().stats();
    const auto carried = [&](Path path, LinkClass link) {
      const Traffic& traffic = stats.of(link);
      out_.paths[static_cast<std::size_t>(path)].network_bytes = traffic.message_bytes + traffic.read_bytes;
      out_.messages += traffic.messages;
    };
    carried(Path::host_fabric, LinkClass::same_host);
    carried(Path::same_rack, LinkClass::same_rack);
    carried(Path::across_racks, LinkClass::across_racks);
    out_.events = cluster_.timeline().events_run();
    out_.trace = cluster_.timeline().trace().hash();
  }

  void add(const Worker::Tally& tally) {
    out_.puts += tally.puts;
    out_.put_bytes += tally.put_bytes;
    out_.gets += tally.gets;
    out_.get_bytes += tally.get_bytes;
    for (std::size_t path = 0; path < kPaths; ++path) {
      out_.paths[path].gets += tally.paths[path].gets;
      out_.paths[path].payload_bytes += tally.paths[path].payload_bytes;
    }
  }

  void add(const Job& job) {
    const Holdings::Counts counts = job.holdings->counts();
    out_.spills += counts.spills;
    out_.spilled_bytes += counts.spilled_bytes;
    out_.restores += counts.restores;
    out_.restored_bytes += counts.restored_bytes;
    out_.evictions += counts.evictions;
    out_.gets_from_disk += job.counters.sum(Count::gets_from_disk);
    out_.reference_messages += job.counters.sum(Count::reference_messages);
  }

  Cluster& cluster_;
  Script script_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Forecast out_;
};

}  // namespace

Duration CostCurve::of(std::uint64_t size) const {
  const auto bytes = static_cast<double>(size);
  const auto above =
      std::ranges::find_if(points, [bytes](const Point& point) { return point.bytes > bytes; });
  double ns = 0;
  if (above == points.begin()) {
    ns = above->ns;
  } else if (above == points.end()) {
    ns = points.back().ns + (bytes - points.back().bytes) * ns_per_byte_beyond;
  } else {
    const Point& below = *(above - 1);
    ns = below.ns + (bytes - below.bytes) * (above->ns - below.ns) / (above->bytes - below.bytes);
  }
  return Duration(std::llround(ns));
}

double Forecast::hit_ratio() const noexcept {
  if (gets == 0) return 1;
  return static_cast<double>(gets - std::min(gets, gets_from_disk)) / static_cast<double>(gets);
}

std::uint64_t memory_for(const ForecastOptions& options) noexcept {
  // Connections, books and cards of a member, as simulate_scale has measured them.
  constexpr std::uint64_t kMember = 256_KiB;
  const Workload& workload = options.workload;
  const std::uint64_t put = workload.all_objects() * (workload.object_bytes + 512);
  const std::uint64_t arenas = arena_of(options) * workload.members;
  const std::uint64_t landing =
      std::uint64_t{workload.members} * (workload.in_flight + 1) * (workload.object_bytes + 512);
  // What does not fit the arenas is on simulated disks, which are memory, too, and so are their dead bytes.
  const bool disks = options.disks > 0;
  const std::uint64_t buffers = disks ? spill_options(options).bytes_in_flight * workload.members : 0;
  return (disks ? 2 * put : 0) + std::min(put + landing, arenas) + buffers + kMember * workload.members;
}

Result<Forecast> forecast(const ForecastOptions& options) {
  HOLDFAST_DO(check_options(options));
  HOLDFAST_TRY(const auto cluster, Cluster::start(options.seed, cluster_options(options)));
  return Run(options, *cluster).play();
}

}  // namespace holdfast::sim
