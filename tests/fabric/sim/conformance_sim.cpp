// The conformance suite on the simulated network, in several of its shapes.
#include "holdfast/fabric/sim/network.h"
#include "tests/fabric/conformance.h"

namespace holdfast::fabric::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeed = 20261122;

enum class Hosts { one, a_few };

/// The suite opens its endpoints on one fabric. Here each comes from another process in turn, so that they
/// are on different hosts.
class Spread final : public Fabric {
 public:
  Spread(sim::Network& network, Hosts hosts) : network_(network) {
    const std::uint32_t count = hosts == Hosts::one ? 1 : 5;
    for (std::uint32_t i = 0; i < count; ++i) processes_.push_back(network.start(network.add_host(i / 2)));
  }
  const FabricInfo& info() const noexcept override { return network_.fabric(processes_[0]).info(); }
  Result<std::unique_ptr<Endpoint>> open(const EndpointOptions& options) override {
    return network_.fabric(processes_[next_++ % processes_.size()]).open(options);
  }

 private:
  sim::Network& network_;
  std::vector<sim::ProcessId> processes_;
  std::size_t next_ = 0;
};

class SimWorld final : public World {
 public:
  SimWorld(const sim::NetworkOptions& options, Hosts hosts)
      : timeline_(kSeed), network_(timeline_, options), fabric_(network_, hosts) {}
  Fabric& fabric() override { return fabric_; }
  const Clock& clock() override { return timeline_.clock(); }
  bool real_time() const override { return false; }
  /// Up to the next event, but never further than a millisecond, so that time passes where nothing happens.
  void turn() override {
    const TimePoint limit = timeline_.now() + 1ms;
    const auto next = timeline_.next_event_time();
    timeline_.run_until(next && *next < limit ? *next : limit);
  }

 private:
  sim::Timeline timeline_;
  sim::Network network_;
  Spread fabric_;
};

WorldMaker simulated(std::string name, sim::NetworkOptions options, Hosts hosts = Hosts::a_few) {
  return {std::move(name), [options, hosts]() -> Result<std::unique_ptr<World>> {
            return std::make_unique<SimWorld>(options, hosts);
          }};
}

sim::NetworkOptions over_tcp() {
  sim::NetworkOptions out;
  out.one_sided_needs_target = true;
  return out;
}

sim::NetworkOptions tiny_pieces() {
  sim::NetworkOptions out;
  out.piece_bytes = 64;
  out.scatter_pieces = true;
  out.best_read_bytes = 10'000;
  out.max_gather = 4;
  return out;
}

sim::NetworkOptions rough() {
  sim::NetworkOptions out = over_tcp();
  for (sim::LinkCost* link : {&out.same_host, &out.same_rack, &out.across_racks}) {
    link->jitter = 50us;
    link->straggler_one_in = 20;
    link->straggle = 2ms;
  }
  out.piece_bytes = 1000;
  out.scatter_pieces = true;
  out.best_read_bytes = 100'000;
  out.max_gather = 8;
  return out;
}

sim::NetworkOptions narrow() {
  sim::NetworkOptions out = rough();
  out.one_sided_needs_target = false;
  out.max_posted_to_peer = 2;
  out.best_depth = 1;
  return out;
}

}  // namespace
}  // namespace holdfast::fabric::test

HOLDFAST_FABRIC_CONFORMANCE(Sim,
                            testing::Values(simulated("rdma", {}), simulated("one_host", {}, Hosts::one),
                                            simulated("tcp", over_tcp()),
                                            simulated("tiny_pieces", tiny_pieces()),
                                            simulated("rough_tcp", rough()), simulated("narrow", narrow())))
