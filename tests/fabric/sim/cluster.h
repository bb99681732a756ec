// A small simulated cluster for tests: processes with an endpoint each.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "holdfast/fabric/sim/network.h"
#include "tests/fabric/ended.h"

namespace holdfast::sim::test {

using fabric::Endpoint;
using fabric::PeerId;
using fabric::RemoteMemory;
using fabric::test::Ended;
using namespace std::chrono_literals;

/// Without jitter, with round figures: 1 ns a byte.
inline NetworkOptions round_figures() {
  NetworkOptions out;
  out.same_host = {300ns, 200ns, 50ns, 1'000'000'000};
  out.same_rack = {1000ns, 300ns, 100ns, 1'000'000'000};
  out.across_racks = {2000ns, 400ns, 100ns, 1'000'000'000};
  return out;
}

class Cluster {
 public:
  struct Node {
    HostId host;
    ProcessId process;
    std::unique_ptr<Endpoint> endpoint;
    fabric::Address address;              ///< also while there is no endpoint
    std::vector<std::uint32_t> received;  ///< the numbers of its messages
  };

  /// `hosts` hosts, two a rack, with a process and an endpoint each.
  explicit Cluster(std::uint32_t hosts, const NetworkOptions& options = round_figures(),
                   std::uint64_t seed = 1)
      : timeline(seed), network(timeline, options), nodes(hosts) {
    for (std::uint32_t i = 0; i < hosts; ++i) {
      nodes[i].host = network.add_host(i / 2);
      nodes[i].process = network.start(nodes[i].host);
      open(i);
    }
  }

  /// Opens (again) the node's endpoint; what it was before is destroyed.
  void open(std::uint32_t index, const fabric::EndpointOptions& options = {}) {
    Node& node = nodes[index];
    node.endpoint.reset();
    auto opened = network.fabric(node.process).open(options);
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    node.endpoint = std::move(*opened);
    node.address = node.endpoint->address();
    node.endpoint->set_receiver([&node](std::span<const std::byte> message) {
      std::uint32_t number = 0;
      std::memcpy(&number, message.data(), sizeof(number));
      node.received.push_back(number);
    });
  }

  Endpoint& operator[](std::uint32_t index) { return *nodes[index].endpoint; }
  ProcessId process(std::uint32_t index) const { return nodes[index].process; }
  HostId host(std::uint32_t index) const { return nodes[index].host; }
  PeerId connect(std::uint32_t from, std::uint32_t to) {
    const auto peer = nodes[from].endpoint->connect(nodes[to].address);
    EXPECT_TRUE(peer.has_value()) << peer.error().message();
    return peer.value_or(PeerId{});
  }
  /// A completion that outlives the endpoints, however a test ends.
  Ended& ended() { return completions.emplace_back(); }
  Deadline in(Duration time) { return Deadline::after(timeline.clock(), time); }

  void send(std::uint32_t from, std::uint32_t to, std::uint32_t number, Ended& ended,
            std::size_t bytes = sizeof(std::uint32_t), Duration timeout = 1h) {
    std::vector<std::byte> message(bytes);
    std::memcpy(message.data(), &number, sizeof(number));
    nodes[from].endpoint->send(connect(from, to), message, in(timeout), ended);
  }
  void read(std::uint32_t from, std::uint32_t to, const RemoteMemory& remote, std::span<std::byte> into,
            Ended& ended, Duration timeout = 1h, std::shared_ptr<void> hold = {}) {
    nodes[from].endpoint->read({connect(from, to), remote, 0, into, std::move(hold), in(timeout)}, ended);
  }
  RemoteMemory expose(std::uint32_t owner, std::span<const std::byte> memory) {
    return nodes[owner].endpoint->expose(memory).value();
  }

  /// Runs all events up to `time` from now, and polls every endpoint after each.
  void run_for(Duration time) {
    const TimePoint until = timeline.now() + time;
    poll();
    for (auto next = timeline.next_event_time(); next && *next <= until; next = timeline.next_event_time()) {
      timeline.step();
      poll();
    }
    timeline.run_until(until);
    poll();
  }
  void poll() {
    for (Node& node : nodes)
      if (node.endpoint) node.endpoint->poll();
  }

  Timeline timeline;
  Network network;
  std::deque<Ended> completions;  ///< before the endpoints, which may still tell them
  std::vector<Node> nodes;
};

}  // namespace holdfast::sim::test
