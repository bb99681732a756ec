// What a remote get costs on the wire, by the counters of the interface it goes through: one request and one
// answer, and nothing of the owner's code.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
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

/// With the headers of Ethernet, IP and TCP: what asks for a read, and an acknowledgement that names up to
/// two ranges.
constexpr double kTcpRequest = 107, kTcpAcknowledgement = 86;
/// How often a soft device under emulation has to ask again for an object of 1 MB, on an otherwise loaded
/// machine.
constexpr double kMostRetries = 4;

struct Cost {
  Traffic traffic;
  double reads = 0, messages = 0, retries = 0;
  double probes = 0;   ///< that came meanwhile: the owner looks after who holds its objects, twice a second
  double counted = 0;  ///< what one of all is a get
};

Cost cost_of_gets(Store& store, const std::string& interface, int gets, const std::function<void()>& get) {
  const Stats before = store.stats();
  const std::uint64_t retries_before = retries();
  const Traffic start = traffic(interface);
  for (int i = 0; i < gets; ++i) get();
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
          .probes = a_get(before.messages_received, after.messages_received),
          .counted = a_get(0, 1)};
}

/// RoCE: a read is requested by one packet of 74 bytes and answered by one for every MTU (4 KiB in the test
/// bed), and nothing is acknowledged. A soft device under emulation loses packets: it counts that, and asks
/// for the reads that are under way again. TCP: a request, the answer's segments, and acknowledgements for
/// them.
void check(const Cost& cost, std::uint64_t size, double reads, bool rdma) {
  // A probe is a packet, its answer is one, and both may be acknowledged by another; and there is neighbour
  // discovery and the like, over all gets.
  const double stray = 0.2 + 2 * cost.probes;
  constexpr double kProbeBytes = 500;
  const auto bytes = static_cast<double>(size);
  EXPECT_EQ(cost.reads, reads) << size;
  EXPECT_LE(cost.messages, cost.probes + cost.counted)
      << size << ": answers to probes, one perhaps from before";
  EXPECT_GE(cost.traffic.bytes_in, bytes) << size;
  // The block's header and table, 64 bytes and 8 for each chunk of 64 KiB and up, and the headers of packets.
  const double again = 1 + cost.retries;
  EXPECT_LE(cost.traffic.bytes_in, (bytes * 1.12 + 330 * reads) * again + cost.probes * kProbeBytes) << size;
  if (rdma) {
    EXPECT_LE(cost.retries, kMostRetries) << size;
    EXPECT_GE(cost.traffic.packets_out, cost.reads) << size;
    EXPECT_LE(cost.traffic.packets_out, cost.reads * again + stray) << size << ": a request a read";
    EXPECT_LE(cost.traffic.bytes_out, 110 * cost.reads * again + cost.probes * kProbeBytes) << size;
    EXPECT_LE(cost.traffic.packets_in, (std::floor((bytes + 256) / 4096) + cost.reads) * again + stray)
        << size;
  } else {
    EXPECT_LE(cost.traffic.packets_out, 2 * reads + bytes / 1448 + stray)
        << size << ": requests, and acknowledgements";
    // A further request would be more than its acknowledgement's bytes.
    const double acknowledgements = std::max(cost.traffic.packets_out - reads, 0.0);
    EXPECT_LE(cost.traffic.bytes_out,
              reads * kTcpRequest + acknowledgements * kTcpAcknowledgement + cost.probes * kProbeBytes)
        << size;
    EXPECT_LE(cost.traffic.packets_in, 2 * reads + 1 + bytes / 1448 + stray) << size;
  }
}

constexpr std::uint64_t kSizes[] = {8, 4096, 65536, 512 * 1024, 512 * 1024 + 1, 1000000};
/// Put one after the other, so that they lie side by side: 64 of 3 KB, in blocks with a header and a table,
/// 196 KiB in all.
constexpr std::uint64_t kNeighbours = 64, kNeighbourBytes = 3000, kNeighbourBlock = 3136;

Name name_of(const Store& store, std::uint64_t size) {
  return name_at(store, 0, fmt::format("size {}", size));
}
Name neighbour(const Store& store, std::uint64_t i) {
  return name_at(store, 0, fmt::format("neighbour {}", i));
}

void put_all(Store& store) {
  for (const std::uint64_t size : kSizes)
    ASSERT_TRUE(good(store.put(name_of(store, size), pattern(size, size))));
  for (std::uint64_t i = 0; i < kNeighbours; ++i)
    ASSERT_TRUE(good(store.put(neighbour(store, i), pattern(kNeighbourBytes, i))));
}

class Wire {
 public:
  Wire(Store& store, std::string interface) : store_(store), interface_(std::move(interface)) {
    fmt::print("wire: {:>9} {:>8} {:>6} {:>12} {:>12} {:>12} {:>12} {:>8}   ({}, {}, a get)\n", "size", "by",
               "reads", "packets out", "packets in", "bytes out", "bytes in", "retries",
               store.stats().provider, interface_);
  }

  /// What `get` costs, once it has been done before; `size` is what it gets.
  void measure(const char* by, std::uint64_t size, double reads, int gets, const std::function<void()>& get) {
    get();  // connects
    const Cost cost = cost_of_gets(store_, interface_, gets, get);
    fmt::print("wire: {:>9} {:>8} {:>6} {:>12.2f} {:>12.2f} {:>12.1f} {:>12.1f} {:>8.2f}\n", size, by,
               cost.reads, cost.traffic.packets_out, cost.traffic.packets_in, cost.traffic.bytes_out,
               cost.traffic.bytes_in, cost.retries);
    check(cost, size, reads, store_.stats().provider.starts_with("verbs"));
  }

 private:
  Store& store_;
  std::string interface_;
};

/// Large objects come in pieces, so that each is checked while the next is on its way.
double reads_of(std::uint64_t size) {
  return size <= 512_KiB ? 1 : std::ceil(static_cast<double>(size) / 512_KiB);
}

void get_all(Store& store, const JobOptions& options) {
  std::vector<ObjectRef> refs, neighbours;
  for (const std::uint64_t size : kSizes) {
    const auto ref = store.lookup(name_of(store, size), kLong);
    ASSERT_TRUE(good(ref));
    refs.push_back(*ref);
  }
  for (std::uint64_t i = 0; i < kNeighbours; ++i) {
    const auto ref = store.lookup(neighbour(store, i), kLong);
    ASSERT_TRUE(good(ref));
    neighbours.push_back(*ref);
  }
  const auto right = [](const Result<Pin>& pin, std::uint64_t seed) {
    return good(pin) && is_pattern(pin->bytes(), seed);
  };
  for (const ObjectRef& ref : refs) ASSERT_TRUE(good(store.get(ref, kLong)));  // connects
  ASSERT_TRUE(good(store.barrier(kLong)));
  Wire wire(store, options.interface);
  for (const ObjectRef& ref : refs)
    wire.measure("ref", ref.size(), reads_of(ref.size()), ref.size() > 65536 ? 50 : 200,
                 [&] { EXPECT_TRUE(right(store.get(ref, kLong), ref.size())); });
  // The name's bucket in the catalogue of its home, 256 bytes, and then the object.
  for (const std::uint64_t size : {std::uint64_t{8}, 64_KiB}) {
    const Name named = name_of(store, size);
    wire.measure("name", size, 2, 200, [&] { EXPECT_TRUE(right(store.get(named, kLong), size)); });
  }
  wire.measure("get_many", kNeighbours * kNeighbourBlock, 1, 50, [&] {
    const auto pins = store.get_many(neighbours, kLong);
    for (std::uint64_t i = 0; i < pins.size(); ++i) EXPECT_TRUE(right(pins[i], i)) << i;
  });
}

}  // namespace

void run_wire(Store& store, const JobOptions& options) {
  ASSERT_EQ(store.size(), 2U);
  if (store.rank() == 0) {
    put_all(store);
    ASSERT_TRUE(good(store.barrier(kLong)));
    const std::uint64_t served = store.stats().requests_served;
    ASSERT_TRUE(good(store.barrier(kLong)));
    // Both members' messages for the barriers, and reports of references, are all that came, while the other
    // got 1,200 times.
    EXPECT_LE(store.stats().requests_served - served, 8U) << "the owner was disturbed";
    return;
  }
  get_all(store, options);
  ASSERT_TRUE(good(store.barrier(kLong)));
}

}  // namespace holdfast::test
