#include "cli/simulate/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "holdfast/base/units.h"

namespace holdfast::cli {
namespace {

using sim::Forecast;
using sim::Path;
using sim::Pattern;

std::string show_ns(double ns) {
  if (ns >= 1e9) return fmt::format("{:.4g} s", ns / 1e9);
  if (ns >= 1e6) return fmt::format("{:.4g} ms", ns / 1e6);
  if (ns >= 1e4) return fmt::format("{:.4g} us", ns / 1e3);
  return fmt::format("{:.4g} ns", ns);
}
std::string show_time(Duration time) { return show_ns(static_cast<double>(time.count())); }

std::string show_rate(double value, std::string_view unit) {
  if (value >= 1e9) return fmt::format("{:.4g} G{}", value / 1e9, unit);
  if (value >= 1e6) return fmt::format("{:.4g} M{}", value / 1e6, unit);
  if (value >= 1e3) return fmt::format("{:.4g} k{}", value / 1e3, unit);
  return fmt::format("{:.4g} {}", value, unit);
}

std::string show(const CostFigure& figure) {
  return figure.unit == "ns" ? show_ns(figure.value) : show_rate(figure.value, figure.unit);
}

double per_second(double what, Duration time) {
  return time > Duration::zero() ? what * 1e9 / static_cast<double>(time.count()) : 0;
}

std::string line(std::string_view what, const std::string& text) {
  return fmt::format("{:<22} {}\n", what, text);
}

std::string workload_text(const sim::Workload& it) {
  const std::string size = format_bytes(it.object_bytes);
  switch (it.pattern) {
    case Pattern::shuffle:
      return fmt::format("shuffle: {} objects of {} from each member to each other one", it.objects, size);
    case Pattern::broadcast:
      return fmt::format("broadcast: {} objects of {} from rank 0 to all others", it.objects, size);
    case Pattern::random:
    case Pattern::outofcore:
      break;
  }
  return fmt::format("{}: {} objects of {} a member, {} gets each, Zipf {:g}", to_string(it.pattern),
                     it.objects, size, it.gets, it.skew);
}

/// "4 hosts", or of more of them: "2 of 4 hosts".
std::string some_of(std::size_t used, std::uint32_t all, std::string_view what) {
  const char* const plural = all == 1 ? "" : "s";
  if (used == all) return fmt::format("{} {}{}", all, what, plural);
  return fmt::format("{} of {} {}{}", used, all, what, plural);
}

std::string layout_text(const Simulated& s) {
  const std::uint32_t members = s.options.workload.members;
  const std::size_t hosts = s.forecast.host_links.size(), racks = s.forecast.uplinks.size();
  const bool full = members % s.layout.per_host == 0;
  std::string text = fmt::format("{} on {}, {}{} on each", members, some_of(hosts, s.layout.hosts, "host"),
                                 full ? "" : "up to ", s.layout.per_host);
  if (s.layout.racks > 1)
    text += fmt::format(", in {}, oversubscription {:g}", some_of(racks, s.layout.racks, "rack"),
                        s.layout.oversubscription);
  text += s.layout.cores > 0 ? fmt::format(", {} cores a host", s.layout.cores) : ", a core for each thread";
  text += s.costs.fabric == FabricKind::tcp ? "; TCP" : "; RDMA";
  text += fmt::format(" ({})", s.costs.fabric_source);
  if (s.options.same_host == SameHost::fabric) text += "; same host by fabric";
  return text;
}

struct Row {
  Path path;
  const char* name;
  const char* key;
};
constexpr Row kRows[] = {{Path::own_memory, "own memory", "own_memory"},
                         {Path::host_memory, "memory of the host", "host_memory"},
                         {Path::host_fabric, "host, by fabric", "host_fabric"},
                         {Path::same_rack, "within a rack", "same_rack"},
                         {Path::across_racks, "core, between racks", "across_racks"}};

/// Over the links of hosts: all that leaves one.
sim::PathTraffic host_link(const Forecast& it) {
  sim::PathTraffic sum = it.of(Path::same_rack);
  const sim::PathTraffic& core = it.of(Path::across_racks);
  sum.gets += core.gets;
  sum.payload_bytes += core.payload_bytes;
  sum.network_bytes += core.network_bytes;
  return sum;
}

std::string paths_text(const Forecast& it) {
  const auto row = [](std::string_view name, const sim::PathTraffic& traffic) {
    return fmt::format("  {:<20} {:>10}  {:>12}  {:>12}\n", name, traffic.gets,
                       format_bytes(traffic.payload_bytes), format_bytes(traffic.network_bytes));
  };
  std::string text =
      fmt::format("  {:<20} {:>10}  {:>12}  {:>12}\n", "gets from", "gets", "payload", "on the network");
  for (const Row& each : kRows) {
    if (each.path == Path::same_rack) text += row("links of hosts", host_link(it));
    const bool inside = each.path == Path::same_rack || each.path == Path::across_racks;
    text += row(inside ? std::string("  ") + each.name : each.name, it.of(each.path));
  }
  return text;
}

/// Of many links: what most carry, and which carries most.
std::string links_text(const std::vector<sim::NicStats>& links, std::string_view one) {
  const auto direction = [&](std::uint64_t sim::NicStats::*bytes, std::string_view way) {
    std::vector<std::uint64_t> sorted;
    for (const sim::NicStats& link : links) sorted.push_back(link.*bytes);
    const auto most = std::ranges::max_element(sorted) - sorted.begin();
    std::string text = fmt::format("most {} {} ({} {})", way,
                                   format_bytes(sorted[static_cast<std::size_t>(most)]), one, most);
    std::ranges::sort(sorted);
    return fmt::format("{} {} (median), ", way, format_bytes(sorted[sorted.size() / 2])) + text;
  };
  return direction(&sim::NicStats::bytes_out, "out") + "; " + direction(&sim::NicStats::bytes_in, "in");
}

std::string costs_text(const Costs& costs) {
  std::string text = fmt::format("\n  {:<46} {:>13}  {}\n", "costs", "", "from");
  for (const CostFigure& figure : costs.figures)
    text += fmt::format("  {:<46} {:>13}  {}\n", figure.name, show(figure), figure.source);
  return text;
}

}  // namespace

std::string simulated_text(const Simulated& s) {
  const Forecast& it = s.forecast;
  const auto members = static_cast<double>(s.options.workload.members);
  std::string text = line("workload", workload_text(s.options.workload));
  text += line("members", layout_text(s));
  text += line("arena", fmt::format("{} a member, {} disk{} a host", format_bytes(s.options.arena_bytes),
                                    s.options.disks, s.options.disks == 1 ? "" : "s"));
  text += '\n';
  const Duration total = it.put_time + it.get_time;
  text += line("expected time", show_time(total));
  text += line("  puts",
               fmt::format("{}; {} puts, {}", show_time(it.put_time), it.puts,
                           show_rate(per_second(static_cast<double>(it.put_bytes), it.put_time), "B/s")));
  text +=
      line("  gets", fmt::format("{}; {} gets, {}, {}", show_time(it.get_time), it.gets,
                                 show_rate(per_second(static_cast<double>(it.get_bytes), it.get_time), "B/s"),
                                 show_rate(per_second(static_cast<double>(it.gets), it.get_time), "gets/s")));
  text += '\n' + paths_text(it) + '\n';
  text += line("busiest host's link",
               fmt::format("{} one way, busy for {:.0f} % of the gets", format_bytes(it.busiest_link_bytes),
                           100 * it.busiest_link_share));
  text += line("link of a host", links_text(it.host_links, "host"));
  if (it.uplinks.size() > 1) text += line("uplink of a rack", links_text(it.uplinks, "rack"));
  text += line("hit ratio", fmt::format("{:.4f} found in memory; {} gets waited for a disk", it.hit_ratio(),
                                        it.gets_from_disk));
  text += line("spilled", fmt::format("{} objects, {}", it.spills, format_bytes(it.spilled_bytes)));
  text += line("restored", fmt::format("{} objects, {}", it.restores, format_bytes(it.restored_bytes)));
  text += line("messages",
               fmt::format("{}, {:.1f} a member", it.messages, static_cast<double>(it.messages) / members));
  text +=
      line("  for references", fmt::format("{}, {:.1f} a member; {} with the answers", it.reference_messages,
                                           static_cast<double>(it.reference_messages) / members,
                                           format_bytes(it.reference_bytes)));
  text += costs_text(s.costs);
  return text;
}

nlohmann::ordered_json simulated_json(const Simulated& s) {
  using nlohmann::ordered_json;
  const Forecast& it = s.forecast;
  const sim::Workload& work = s.options.workload;
  ordered_json json;
  json["workload"] = {{"pattern", to_string(work.pattern)},
                      {"members", work.members},
                      {"object_bytes", work.object_bytes},
                      {"objects", work.objects},
                      {"gets", work.gets},
                      {"skew", work.skew},
                      {"in_flight", work.in_flight},
                      {"seed", work.seed}};
  json["topology"] = {{"hosts", s.layout.hosts},
                      {"per_host", s.layout.per_host},
                      {"racks", s.layout.racks},
                      {"hosts_used", it.host_links.size()},
                      {"racks_used", it.uplinks.size()},
                      {"oversubscription", s.layout.oversubscription},
                      {"cores", s.layout.cores},
                      {"fabric", s.costs.fabric == FabricKind::tcp ? "tcp" : "rdma"},
                      {"same_host", s.options.same_host == SameHost::memory ? "memory" : "fabric"},
                      {"arena_bytes", s.options.arena_bytes},
                      {"disks", s.options.disks}};
  json["time_ns"] = (it.put_time + it.get_time).count();
  json["put_ns"] = it.put_time.count();
  json["get_ns"] = it.get_time.count();
  json["puts"] = it.puts;
  json["put_bytes"] = it.put_bytes;
  json["gets"] = it.gets;
  json["get_bytes"] = it.get_bytes;
  const auto traffic = [](const sim::PathTraffic& of) {
    return ordered_json{
        {"gets", of.gets}, {"payload_bytes", of.payload_bytes}, {"network_bytes", of.network_bytes}};
  };
  for (const Row& row : kRows) json["paths"][row.key] = traffic(it.of(row.path));
  json["paths"]["host_links"] = traffic(host_link(it));
  json["busiest_link"] = {{"bytes", it.busiest_link_bytes}, {"share", it.busiest_link_share}};
  const auto links = [](const std::vector<sim::NicStats>& all) {
    auto list = ordered_json::array();
    for (const sim::NicStats& link : all)
      list.push_back({{"bytes_out", link.bytes_out}, {"bytes_in", link.bytes_in}});
    return list;
  };
  json["host_links"] = links(it.host_links);
  json["uplinks"] = links(it.uplinks);
  json["hit_ratio"] = it.hit_ratio();
  json["gets_from_disk"] = it.gets_from_disk;
  json["spills"] = it.spills;
  json["spilled_bytes"] = it.spilled_bytes;
  json["restores"] = it.restores;
  json["restored_bytes"] = it.restored_bytes;
  json["evictions"] = it.evictions;
  json["messages"] = it.messages;
  json["reference_messages"] = it.reference_messages;
  json["reference_bytes"] = it.reference_bytes;
  json["events"] = it.events;
  json["trace"] = fmt::format("{:016x}", it.trace);
  json["costs"] = ordered_json::array();
  for (const CostFigure& figure : s.costs.figures)
    json["costs"].push_back(
        {{"what", figure.name}, {"value", figure.value}, {"unit", figure.unit}, {"from", figure.source}});
  return json;
}

}  // namespace holdfast::cli
