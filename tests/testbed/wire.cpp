// What a remote get costs on the wire, by the counters of the interface it goes through: one request and one
// answer, and nothing of the owner's code.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/testbed/job.h"

namespace holdfast::test {
namespace {

struct Traffic {
  double packets_out = 0, packets_in = 0, bytes_out = 0, bytes_in = 0;
};

/// Of this process's network, by /proc/net/dev.
Traffic traffic(const std::string& interface) {
  std::ifstream in("/proc/self/net/dev");
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' ')) != interface) continue;
    std::istringstream fields(line.substr(colon + 1));
    double field[16] = {};
    for (double& value : field) fields >> value;
    return {.packets_out = field[9], .packets_in = field[1], .bytes_out = field[8], .bytes_in = field[0]};
  }
  ADD_FAILURE() << "there is no interface " << interface;
  return {};
}

/// How often this machine's RDMA devices found that something was lost and asked again.
std::uint64_t retries() {
  std::uint64_t sum = 0;
  std::error_code none;
  for (const auto& device : std::filesystem::directory_iterator("/sys/class/infiniband", none)) {
    std::ifstream in(device.path() / "ports/1/hw_counters/completer_retry_err");
    std::uint64_t count = 0;
    EXPECT_TRUE(in >> count) << device.path() << " does not count retries";
    sum += count;
  }
  return sum;
}

struct Cost {
  Traffic traffic;
  double reads = 0, messages = 0, retries = 0;
  double probes = 0;  ///< that came meanwhile: the owner looks after who holds its objects, twice a second
};

Cost cost_of_gets(Store& store, const ObjectRef& ref, const std::string& interface, int gets) {
  const Stats before = store.stats();
  const std::uint64_t retries_before = retries();
  const Traffic start = traffic(interface);
  for (int i = 0; i < gets; ++i) {
    const auto pin = store.get(ref, kLong);
    EXPECT_TRUE(good(pin) && is_pattern(pin->bytes(), ref.size()));
  }
  const Traffic end = traffic(interface);
  const Stats after = store.stats();
  const auto a_get = [gets](auto from, auto to) { return static_cast<double>(to - from) / gets; };
  return {.traffic = {.packets_out = a_get(start.packets_out, end.packets_out),
                      .packets_in = a_get(start.packets_in, end.packets_in),
                      .bytes_out = a_get(start.bytes_out, end.bytes_out),
                      .bytes_in = a_get(start.bytes_in, end.bytes_in)},
          .reads = a_get(before.remote_reads, after.remote_reads),
          .messages = a_get(before.messages_sent, after.messages_sent),
          .retries = a_get(retries_before, retries()),
          .probes = a_get(before.messages_received, after.messages_received)};
}

/// RoCE: a read is requested by one packet of 74 bytes and answered by one for every MTU (4 KiB in the test
/// bed), and nothing is acknowledged. A soft device under emulation loses packets: it counts that, and asks
/// for the reads that are under way again. TCP: a request, the answer's segments, and acknowledgements for
/// them.
void check(const Cost& cost, std::uint64_t size, bool rdma) {
  // A probe is a packet, and an acknowledgement; and there is neighbour discovery and the like, over all
  // gets.
  const double stray = 0.2 + cost.probes;
  constexpr double kProbeBytes = 250;
  const auto bytes = static_cast<double>(size);
  // Large objects come in pieces, so that each is checked while the next is on its way.
  EXPECT_EQ(cost.reads, size <= 512_KiB ? 1 : std::ceil(bytes / 512_KiB)) << size;
  EXPECT_EQ(cost.messages, 0) << size;
  EXPECT_GE(cost.traffic.bytes_in, bytes) << size;
  // The block's header and table, 64 bytes and 8 for each chunk of 64 KiB and up, and the headers of packets.
  const double again = 1 + cost.retries;
  EXPECT_LE(cost.traffic.bytes_in, (bytes * 1.12 + 300) * again + cost.probes * kProbeBytes) << size;
  if (rdma) {
    EXPECT_GE(cost.traffic.packets_out, cost.reads) << size;
    EXPECT_LE(cost.traffic.packets_out, cost.reads * again + stray) << size << ": a request a read";
    EXPECT_LE(cost.traffic.bytes_out, 110 * cost.reads * again + cost.probes * kProbeBytes) << size;
    EXPECT_LE(cost.traffic.packets_in, (std::floor((bytes + 256) / 4096) + cost.reads) * again + stray)
        << size;
  } else if (size <= 4096) {
    // A second request would be 106 bytes more.
    EXPECT_LE(cost.traffic.packets_out, 2 + stray) << size << ": a request, and an acknowledgement";
    EXPECT_LE(cost.traffic.bytes_out, 200 + cost.probes * kProbeBytes) << size;
    EXPECT_LE(cost.traffic.packets_in, 2 + bytes / 1448 + stray) << size;
  } else {
    EXPECT_LE(cost.traffic.packets_out, 2 + bytes / 1448 + stray)
        << size << ": a request, and acknowledgements";
    EXPECT_LE(cost.traffic.bytes_out, 500 + bytes / 20) << size;
    EXPECT_LE(cost.traffic.packets_in, 3 + bytes / 1448 + stray) << size;
  }
}

}  // namespace

void run_wire(Store& store, const JobOptions& options) {
  ASSERT_EQ(store.size(), 2U);
  constexpr std::uint64_t kSizes[] = {8, 4096, 65536, 512 * 1024, 512 * 1024 + 1, 1000000};
  const bool rdma = store.stats().provider.starts_with("verbs");
  if (store.rank() == 0) {
    for (const std::uint64_t size : kSizes)
      ASSERT_TRUE(good(store.put(name_at(store, 0, fmt::format("size {}", size)), pattern(size, size))));
    ASSERT_TRUE(good(store.barrier(kLong)));
    const std::uint64_t served = store.stats().requests_served;
    ASSERT_TRUE(good(store.barrier(kLong)));
    // Both members' messages for the barriers, and reports of references, are all that came, while the other
    // got 750 objects.
    EXPECT_LE(store.stats().requests_served - served, 8U) << "the owner was disturbed";
    ASSERT_TRUE(good(store.barrier(kLong)));
    return;
  }
  std::vector<ObjectRef> refs;
  for (const std::uint64_t size : kSizes) {
    const auto ref = store.lookup(name_at(store, 0, fmt::format("size {}", size)), kLong);
    ASSERT_TRUE(good(ref));
    ASSERT_TRUE(good(store.get(*ref, kLong)));  // connects
    refs.push_back(*ref);
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  fmt::print("wire: {:>9} {:>6} {:>12} {:>12} {:>12} {:>12} {:>8}   ({}, {}, a get)\n", "size", "reads",
             "packets out", "packets in", "bytes out", "bytes in", "retries", store.stats().provider,
             options.interface);
  for (const ObjectRef& ref : refs) {
    const Cost cost = cost_of_gets(store, ref, options.interface, ref.size() > 65536 ? 50 : 200);
    fmt::print("wire: {:>9} {:>6} {:>12.2f} {:>12.2f} {:>12.1f} {:>12.1f} {:>8.2f}\n", ref.size(), cost.reads,
               cost.traffic.packets_out, cost.traffic.packets_in, cost.traffic.bytes_out,
               cost.traffic.bytes_in, cost.retries);
    check(cost, ref.size(), rdma);
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  ASSERT_TRUE(good(store.barrier(kLong)));
}

}  // namespace holdfast::test
