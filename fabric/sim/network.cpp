// Hosts, processes and their endpoints; the public interface.
#include "holdfast/fabric/sim/network.h"

#include <fmt/format.h>

#include "fabric/sim/address.h"
#include "fabric/sim/network_core.h"
#include "holdfast/base/checksum.h"

namespace holdfast::sim {
namespace {

// Streams of randomness, so that one more draw in one does not change the others.
constexpr std::uint64_t kJitterStream = 1, kKeyStream = 2, kScatterStream = 3;

constexpr std::uint64_t kLargestPiece = std::uint64_t{1} << 32;  // times 10^9 still fits 64 bits

}  // namespace

NetworkCore::NetworkCore(Timeline& timeline, const NetworkOptions& options)
    : timeline_(timeline),
      options_(options),
      jitter_(timeline.random(kJitterStream)),
      keys_(timeline.random(kKeyStream)),
      scatter_(timeline.random(kScatterStream)) {
  for (const LinkCost* link : {&options.same_host, &options.same_rack, &options.across_racks})
    HOLDFAST_CHECK(link->bytes_per_second > 0, "LinkCost::bytes_per_second is at least 1");
  HOLDFAST_CHECK(options.piece_bytes > 0, "NetworkOptions::piece_bytes is at least 1");
  HOLDFAST_CHECK(options.best_read_bytes > 0 && options.best_read_bytes <= kLargestPiece,
                 "NetworkOptions::best_read_bytes is 1 to 4 GiB");
  HOLDFAST_CHECK(options.best_depth > 0 && options.max_posted_to_peer > 0,
                 "NetworkOptions: at least one operation must be able to be under way");
}

NetworkCore::~NetworkCore() {
  HOLDFAST_CHECK(endpoints_open_ == 0, "destroy all endpoints before their network");
}

HostId NetworkCore::add_host(std::uint32_t rack) {
  hosts_.push_back({.rack = rack});
  hosts_.back().cores_until.resize(options_.cores_per_host);
  if (rack >= uplinks_.size()) uplinks_.resize(rack + 1);
  return HostId{static_cast<std::uint32_t>(hosts_.size() - 1)};
}

ProcessId NetworkCore::start(HostId where) {
  HOLDFAST_CHECK(where.value < hosts_.size(), "no such host; add_host() first");
  const ProcessId id{static_cast<std::uint32_t>(processes_.size())};
  auto process = std::make_unique<Process>();
  process->host = where;
  process->max_waiting = options_.max_waiting;
  fabric::FabricInfo info;
  info.provider = "sim";
  info.protocol = "sim";
  info.domain = fmt::format("host {} in rack {}", where.value, hosts_[where.value].rack);
  info.reason = "a simulated network";
  info.rdma = !options_.one_sided_needs_target;
  info.max_read_bytes = std::uint64_t{1} << 40;
  info.best_read_bytes = options_.best_read_bytes;
  info.best_depth = options_.best_depth;
  info.max_gather = options_.max_gather;
  process->fabric = std::make_unique<SimFabric>(*this, id, std::move(info));
  processes_.push_back(std::move(process));
  return id;
}

Process& NetworkCore::process(ProcessId id) {
  HOLDFAST_CHECK(id.value < processes_.size(), "no such process; start() first");
  return *processes_[id.value];
}

Host& NetworkCore::host(HostId id) {
  HOLDFAST_CHECK(id.value < hosts_.size(), "no such host; add_host() first");
  return hosts_[id.value];
}

Result<std::unique_ptr<fabric::Endpoint>> NetworkCore::open(ProcessId id,
                                                            const fabric::EndpointOptions& options) {
  if (options.receive_depth < 1 || options.receive_depth > 4096)
    return holdfast::fail(Code::invalid, "Fabric::open",
                          fmt::format("receive_depth is {}, must be 1 to 4096", options.receive_depth));
  Process& owner = process(id);
  if (!owner.up)
    return holdfast::fail(Code::system, "Fabric::open", fmt::format("process {} has crashed", id.value));
  const auto serial = static_cast<Serial>(endpoints_.size());
  const std::uint64_t address = address_of(id.value, owner.next_endpoint++);
  auto endpoint = std::make_unique<SimEndpoint>(*this, id, serial, address, options);
  endpoints_.push_back(endpoint.get());
  owner.endpoints.push_back(serial);
  listens_[address] = serial;
  ++endpoints_open_;
  timeline_.note(TraceKind::opened, serial);
  return endpoint;
}

SimEndpoint* NetworkCore::listener(std::uint64_t address) noexcept {
  const auto found = listens_.find(address);
  return found == listens_.end() ? nullptr : endpoints_[found->second];
}

void NetworkCore::free(Transfer& transfer) {
  transfer = Transfer{};
  transfers_.give_back(transfer);
}

/// What the trace says of bytes that were moved.
std::uint64_t NetworkCore::content(std::span<const std::byte> bytes) const {
  return options_.trace_contents ? checksum(bytes) : bytes.size();
}

Network::Network(Timeline& timeline, const NetworkOptions& options)
    : core_(std::make_unique<NetworkCore>(timeline, options)) {}
Network::~Network() = default;

Timeline& Network::timeline() noexcept { return core_->timeline(); }
const NetworkOptions& Network::options() const noexcept { return core_->options(); }
NetworkStats Network::stats() const { return core_->stats(); }
HostId Network::add_host(std::uint32_t rack) { return core_->add_host(rack); }
ProcessId Network::start(HostId host) { return core_->start(host); }
fabric::Fabric& Network::fabric(ProcessId process) { return *core_->process(process).fabric; }
HostId Network::host_of(ProcessId process) const { return core_->process(process).host; }

void Network::set_on_ready(fabric::Endpoint& endpoint, std::function<void()> on_ready) {
  auto* simulated = dynamic_cast<SimEndpoint*>(&endpoint);
  HOLDFAST_CHECK(simulated != nullptr, "only endpoints of a simulated network tell when they are ready");
  simulated->set_on_ready(std::move(on_ready));
}

LinkClass Network::link_class(HostId a, HostId b) const { return core_->link_class(a, b); }
NicStats Network::nic(HostId host) const { return core_->host(host).nic; }

std::uint32_t Network::racks() const { return core_->racks(); }

NicStats Network::uplink(std::uint32_t rack) const { return core_->uplink(rack).carried; }

TimePoint Network::work(fabric::Endpoint& endpoint, Duration time) {
  auto* simulated = dynamic_cast<SimEndpoint*>(&endpoint);
  HOLDFAST_CHECK(simulated != nullptr, "only threads of a simulated network work on its time");
  return core_->compute(*simulated, time);
}

void Network::stop(ProcessId process) { core_->set_stopped(process, true); }
void Network::resume(ProcessId process) { core_->set_stopped(process, false); }
bool Network::stopped(ProcessId process) const { return core_->process(process).stopped; }

void Network::slow(ProcessId process, std::uint32_t factor) {
  HOLDFAST_CHECK(factor > 0, "a factor of 1 is as fast as before");
  core_->note(Fault::slow_process, process.value, factor);
  core_->process(process).slow = factor;
}

void Network::slow(HostId host, std::uint32_t factor) {
  HOLDFAST_CHECK(factor > 0, "a factor of 1 is as fast as before");
  core_->note(Fault::slow_host, host.value, factor);
  core_->host(host).slow = factor;
}

void Network::crash(ProcessId process) { core_->crash(process); }
void Network::restart(ProcessId process) { core_->restart(process); }
bool Network::crashed(ProcessId process) const { return !core_->process(process).up; }
void Network::crash(HostId host) { core_->crash(host); }
void Network::restart(HostId host) { core_->restart(host); }

void Network::cut(std::span<const HostId> from, std::span<const HostId> to) { core_->cut(from, to); }
void Network::partition(std::span<const HostId> one, std::span<const HostId> other) {
  core_->cut(one, other);
  core_->cut(other, one);
}
void Network::heal() {
  core_->mend_all();
  core_->paths_changed();
}
void Network::heal(std::span<const HostId> one, std::span<const HostId> other) {
  core_->mend(one, other);
  core_->mend(other, one);
  core_->paths_changed();
}
void Network::break_connections(ProcessId one, ProcessId other) { core_->break_connections(one, other); }

void Network::limit_queues(ProcessId process, std::uint32_t waiting) {
  core_->note(Fault::limit_queues, process.value, waiting);
  core_->process(process).max_waiting = waiting;
}

}  // namespace holdfast::sim
