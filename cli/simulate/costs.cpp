#include "cli/simulate/costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/bench/results.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

// docs/simulate.md lists the defaults. TCP: measured on two cores of an AMD Milan virtual machine
// (README.md); RDMA: of the order of a 200 Gb/s network.
struct FabricDefaults {
  double remote_get_ns, remote_gets_per_s, remote_bytes_per_s;
};
constexpr FabricDefaults kTcp{22'900, 132'000, 6.0e9};
constexpr FabricDefaults kRdma{3'000, 1'000'000, 20e9};
constexpr double kDiskWrite = 2.0e9, kDiskRead = 2.5e9, kDiskLatency = 80'000;
constexpr double kChecksumNsPerByte = 1 / 18.0;  // of memory that is in no cache
constexpr double kTcpLatency = 1'000;
constexpr double kNamePerMember = 3;
// What nanoseconds, bytes a second and operations a second can be.
constexpr double kLeastFigure = 1e-2, kMostFigure = 1e15;

tl::unexpected<Error> bad(std::string detail) {
  return fail(Code::invalid, "holdfast simulate", std::move(detail));
}

/// What was measured, by the case's name.
class Measured {
 public:
  static Result<Measured> parse(const std::string& text) {
    const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!parsed.is_object() || !parsed.contains("results") || !parsed["results"].is_array())
      return bad("the costs file is not what `holdfast bench --json FILE` writes");
    if (const auto format = parsed.find("format"); format == parsed.end() || *format != kResultsFormat)
      return bad(
          "the costs file was written by another version of `holdfast bench`; measure again with this one");
    Measured measured;
    for (const json& entry : parsed["results"]) {
      if (!entry.is_object() || !entry.contains("what") || !entry["what"].is_string()) continue;
      const auto value = entry.find("measured");
      if (value == entry.end() || !value->is_number()) continue;
      const double number = value->get<double>();
      if (number <= 0) continue;  // could not be measured
      if (!(number >= kLeastFigure && number <= kMostFigure))
        return bad(fmt::format("the costs file says {} of {}, which no machine does; measure again", number,
                               entry["what"].get<std::string>()));
      measured.values_[entry["what"].get<std::string>()] = number;
    }
    if (const auto machine = parsed.find("machine"); machine != parsed.end() && machine->is_object())
      if (const auto rdma = machine->find("rdma"); rdma != machine->end() && rdma->is_boolean())
        measured.rdma_ = rdma->get<bool>();
    return measured;
  }
  std::optional<double> find(const std::string& what) const {
    const auto found = values_.find(what);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
  }
  std::optional<bool> rdma() const noexcept { return rdma_; }

 private:
  std::map<std::string, double> values_;
  std::optional<bool> rdma_;
};

/// Takes figures one by one and notes where each is from.
class Reader {
 public:
  Reader(const Measured& measured, Costs& costs) : measured_(measured), costs_(costs) {}

  /// The first of these cases that was measured.
  double take(const std::string& name, const std::string& unit, const std::vector<std::string>& cases,
              double otherwise) {
    for (const std::string& what : cases)
      if (const auto value = measured_.find(what)) {
        ++taken_;
        costs_.figures.push_back({name, *value, unit, what});
        return *value;
      }
    costs_.figures.push_back({name, otherwise, unit, "default"});
    return otherwise;
  }

  struct PointOf {
    double bytes;
    std::string what;  ///< measured in nanoseconds, or bytes a second where `rates`
    double otherwise;  ///< nanoseconds
  };
  enum class As : std::uint8_t { times, rates };
  /// Points that were measured; all defaults where none was.
  sim::CostCurve curve(const std::string& name, const std::vector<PointOf>& points, As as) {
    sim::CostCurve curve;
    for (const PointOf& point : points)
      if (const auto value = measured_.find(point.what)) {
        const double ns = as == As::rates ? point.bytes / *value * 1e9 : *value;
        ++taken_;
        curve.points.push_back({point.bytes, ns});
        costs_.figures.push_back({fmt::format("{}, {:.0f} B", name, point.bytes), ns, "ns", point.what});
      }
    if (!curve.points.empty()) return curve;
    for (const PointOf& point : points) {
      if (point.otherwise <= 0) continue;
      curve.points.push_back({point.bytes, point.otherwise});
      costs_.figures.push_back(
          {fmt::format("{}, {:.0f} B", name, point.bytes), point.otherwise, "ns", "default"});
    }
    return curve;
  }
  std::size_t taken() const noexcept { return taken_; }

 private:
  const Measured& measured_;
  Costs& costs_;
  std::size_t taken_ = 0;
};

void read_work(Reader& reader, Costs& costs) {
  std::vector<Reader::PointOf> puts;
  const std::array<std::pair<std::uint64_t, double>, 7> sizes = {{{8, 450},
                                                                  {1ULL << 10, 600},
                                                                  {64ULL << 10, 10'000},
                                                                  {1ULL << 20, 159'000},
                                                                  {16ULL << 20, 1'750'000},
                                                                  {64ULL << 20, 6'850'000},
                                                                  {256ULL << 20, 27'400'000}}};
  for (const auto& [bytes, otherwise] : sizes)
    puts.push_back({static_cast<double>(bytes), fmt::format("put/{}/checksum", bytes), otherwise});
  costs.work.put = reader.curve("put", puts, Reader::As::rates);
  const auto& last = costs.work.put.points.back();
  costs.work.put.ns_per_byte_beyond = last.bytes >= 65536 ? last.ns / last.bytes : 1 / 9.8;
  costs.work.get_own = reader.curve("get of an own object",
                                    {{8, "get_local/8/verified", 98}, {1024, "get_local/1024/verified", 122}},
                                    Reader::As::times);
  costs.work.get_shared = reader.curve(
      "get from a process beside",
      {{8, "get_shared/8/verified", 92}, {1024, "get_shared/1024/verified", 119}}, Reader::As::times);
  costs.work.get_own.ns_per_byte_beyond = costs.work.get_shared.ns_per_byte_beyond = kChecksumNsPerByte;
  costs.figures.push_back({"check of an object in memory", 1e9 / kChecksumNsPerByte, "B/s", "default"});
  costs.work.name_ns_per_member = kNamePerMember;
  costs.figures.push_back({"choice of a name's home, a member", kNamePerMember, "ns", "default"});
}

void read_disk(Reader& reader, Costs& costs, std::uint64_t object_bytes) {
  std::vector<std::string> sizes = {"1MiB", "64KiB", "64MiB"};
  if (object_bytes < 512 << 10) sizes = {"64KiB", "1MiB", "64MiB"};
  if (object_bytes >= 16 << 20) sizes = {"64MiB", "1MiB", "64KiB"};
  std::vector<std::string> writes, reads;
  for (const std::string& size : sizes) {
    writes.push_back("spill/" + size);
    reads.push_back("spill_restore/" + size);
  }
  costs.disk_write_bytes_per_s = reader.take("disk, writing", "B/s", writes, kDiskWrite);
  costs.disk_read_bytes_per_s = reader.take("disk, reading", "B/s", reads, kDiskRead);
  costs.disk_latency_ns = kDiskLatency;
  costs.figures.push_back({"disk, latency", kDiskLatency, "ns", "default"});
}

}  // namespace

Result<Costs> read_costs(const std::optional<std::string>& text, std::optional<FabricKind> fabric,
                         std::uint64_t object_bytes) {
  Measured measured;
  if (text) {
    HOLDFAST_TRY(measured, Measured::parse(*text));
  }
  Costs costs;
  if (fabric) {
    costs.fabric = *fabric;
    costs.fabric_source = "--fabric";
  } else if (measured.rdma()) {
    costs.fabric = *measured.rdma() ? FabricKind::rdma : FabricKind::tcp;
    costs.fabric_source = "the costs file";
  } else {
    costs.fabric_source = "default";
  }
  const FabricDefaults& defaults = costs.fabric == FabricKind::tcp ? kTcp : kRdma;
  Reader reader(measured, costs);
  costs.remote_get_ns =
      reader.take("get through the fabric, 8 B", "ns", {"get_remote/8"}, defaults.remote_get_ns);
  costs.remote_gets_per_s =
      reader.take("gets through the fabric", "/s", {"get_many/scattered"}, defaults.remote_gets_per_s);
  costs.remote_bytes_per_s =
      reader.take("large gets through the fabric", "B/s", {"get_remote/67108864", "get_remote/1048576"},
                  defaults.remote_bytes_per_s);
  read_work(reader, costs);
  read_disk(reader, costs, object_bytes);
  if (text && reader.taken() == 0)
    return bad(
        "the costs file has none of the figures that are needed (get_remote/8, put/1048576/checksum, "
        "...); run `holdfast bench --json FILE` without a filter");
  return costs;
}

sim::NetworkOptions network_of(Costs& costs, const LinkChoices& choices) {
  const bool tcp = costs.fabric == FabricKind::tcp;
  const auto figure = [&](std::string name, double value, std::string unit, bool chosen) {
    costs.figures.push_back({std::move(name), value, std::move(unit), chosen ? "option" : "derived"});
  };
  // A small read is: overhead, latency, [reaction, overhead], latency, overhead, reaction; what is in
  // brackets is the owner's, over TCP only. While many are under way, the busiest thread has two overheads
  // for each.
  const double small = costs.remote_get_ns;
  const double overheads = tcp ? 3 : 2, reactions = tcp ? 2 : 1;
  const double overhead = std::min(0.5e9 / costs.remote_gets_per_s, small / (2 * overheads));
  const double assumed = std::min(tcp ? kTcpLatency : small / 4, small / 8);
  const double latency = choices.latency_ns > 0 ? choices.latency_ns : assumed;
  // The measurement had the assumed latency in it, not the chosen one.
  const double reaction = std::max(0.0, (small - overheads * overhead - 2 * assumed) / reactions);
  const double bandwidth = choices.link_bytes_per_s > 0 ? choices.link_bytes_per_s : costs.remote_bytes_per_s;
  const double core = choices.core_latency_ns > 0 ? choices.core_latency_ns : latency;

  const auto ns = [](double value) { return Duration(std::llround(value)); };
  const auto rate = [](double value) {
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(value));
  };
  sim::NetworkOptions network;
  sim::LinkCost& rack = network.same_rack;
  rack = {};
  rack.latency = ns(latency);
  rack.overhead = ns(overhead);
  rack.bytes_per_second = rate(bandwidth);
  // Over RDMA the thread that verifies what has come keeps up with what was measured, at least.
  rack.processor_bytes_per_second =
      rate(tcp ? costs.remote_bytes_per_s : std::max(1e9 / kChecksumNsPerByte, costs.remote_bytes_per_s));
  network.same_host = network.across_racks = rack;
  network.same_host.latency = ns(assumed);
  // Over TCP no link is between processes of a host, only their processors' time.
  constexpr std::uint64_t kNoLimit = 1'000'000'000'000;
  network.same_host.bytes_per_second = tcp ? kNoLimit : rate(costs.remote_bytes_per_s);
  network.across_racks.latency = ns(latency + core);
  const double uplink = bandwidth * choices.hosts_per_rack / choices.oversubscription;
  network.across_racks.bytes_per_second = rate(std::min(bandwidth, uplink));
  network.rack_bytes_per_second = rate(uplink);
  network.cores_per_host = choices.cores;
  network.one_sided_needs_target = tcp;
  network.reaction = ns(reaction);
  network.piece_bytes = 1 << 20;  // nobody looks at bytes under way
  figure("overhead of a thread for a read or message", overhead, "ns", false);
  figure("until a thread sees what has come", reaction, "ns", false);
  figure("latency of a link, one way", latency, "ns", choices.latency_ns > 0);
  figure("bandwidth of a host's link", bandwidth, "B/s", choices.link_bytes_per_s > 0);
  figure("latency between racks, one way", latency + core, "ns", choices.core_latency_ns > 0);
  figure("bandwidth of a rack's uplink", uplink, "B/s", choices.oversubscription != 1);
  return network;
}

sim::DiskOptions disk_of(const Costs& costs) {
  sim::DiskOptions disk;
  disk.latency = Duration(std::llround(costs.disk_latency_ns));
  disk.write_bytes_per_second = static_cast<std::uint64_t>(std::max(1.0, costs.disk_write_bytes_per_s));
  disk.read_bytes_per_second = static_cast<std::uint64_t>(std::max(1.0, costs.disk_read_bytes_per_s));
  return disk;
}

}  // namespace holdfast::cli
