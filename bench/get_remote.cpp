// How long does a get through the fabric take, by reference and verified? The limits are fi_read's latency
// for small objects and its bandwidth, at its best chunk and depth, for large ones. Both stand beside plain
// TCP sockets, too: a round trip, and a stream.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/remote.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr int kLatencyRounds = 200;

/// Median nanoseconds of a get.
Result<double> time_gets(Store& store, const ObjectRef& ref, int rounds) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    const Stopwatch watch;
    HOLDFAST_TRY(const Pin pin, store.get(ref, 10s));
    times.push_back(watch.ns());
  }
  return median(std::move(times));
}

Result<ObjectRef> put_one(Remote& at, std::uint64_t bytes) {
  HOLDFAST_TRY(const std::vector<ObjectRef> refs, at.pair->put({.count = 1, .bytes = bytes}));
  return refs.front();
}

Result<Case> latency(std::uint64_t bytes) {
  HOLDFAST_TRY(Remote* const at, remote());
  HOLDFAST_TRY(const ObjectRef ref, put_one(*at, bytes));
  return Case{[=] { return at->raw->read_latency_ns(bytes, kLatencyRounds); },
              [=] { return time_gets(at->pair->store(), ref, kLatencyRounds); }};
}

/// What a get makes of the plain sockets that carry it, where its provider runs over TCP.
Result<Case> latency_over_tcp(std::uint64_t bytes) {
  HOLDFAST_TRY(Case made, latency(bytes));
  HOLDFAST_TRY(Remote* const at, remote());
  made.limit = [=] { return at->tcp->round_trip_ns(bytes, kLatencyRounds); };
  return made;
}

/// And fi_read.
Result<Case> read_latency_over_tcp(std::uint64_t bytes) {
  HOLDFAST_TRY(Remote* const at, remote());
  return Case{[=] { return at->tcp->round_trip_ns(bytes, kLatencyRounds); },
              [=] { return at->raw->read_latency_ns(bytes, kLatencyRounds); }};
}

struct Large {
  std::uint64_t bytes = 0;
  double goal = 0;  ///< 0: none
  /// Gets in a round, and reads of each way. The first finds a connection that was idle while the others had
  /// their turn, and may be slower for it: three at least, so that the median is of a warm one.
  int repeats = 3;
  std::vector<std::size_t> chunks;
  std::vector<int> depths = {1, 2, 3, 4, 8, 16};
};

Result<Case> bandwidth(const Large& large) {
  HOLDFAST_TRY(Remote* const at, remote());
  HOLDFAST_TRY(const ObjectRef ref, put_one(*at, large.bytes));
  std::vector<Round> limits = raw_streams(
      *at->raw,
      {.bytes = large.bytes, .chunks = large.chunks, .depths = large.depths, .rounds = large.repeats});
  Case made{.limit = limits.front(),
            .subject = [=]() -> Result<double> {
              HOLDFAST_TRY(const double ns, time_gets(at->pair->store(), ref, large.repeats));
              return static_cast<double>(large.bytes) / ns * 1e9;
            },
            .other_limits = {}};
  made.other_limits.assign(limits.begin() + 1, limits.end());
  return made;
}

Result<Case> bandwidth_over_tcp(std::uint64_t bytes) {
  HOLDFAST_TRY(Case made, bandwidth({.bytes = bytes, .chunks = {}}));
  HOLDFAST_TRY(Remote* const at, remote());
  made.limit = [=] { return at->tcp->stream_bandwidth(bytes, 1); };
  made.other_limits.clear();
  return made;
}

Result<Case> read_bandwidth_over_tcp(std::uint64_t bytes) {
  HOLDFAST_TRY(Remote* const at, remote());
  const RawFabric::Stream stream = {.bytes = bytes, .chunk = 1U << 20, .depth = 4, .rounds = 1};
  return Case{[=] { return at->tcp->stream_bandwidth(bytes, 1); },
              [=] { return at->raw->read_bandwidth(stream); }};
}

void add_cases() {
  for (const std::uint64_t bytes : {8, 4096})
    add_case({.name = "get_remote/" + std::to_string(bytes), .goal = Goal::ratio_at_most(1.2)},
             [=] { return latency(bytes); });
  const std::vector<Large> sizes = {
      {64U << 10, 0.85, 100, {16U << 10, 32U << 10, 64U << 10}},
      {1U << 20, 0.9, 20, {128U << 10, 256U << 10, 512U << 10, 1U << 20}},
      {64U << 20, 0.9, 3, {512U << 10, 1U << 20, 2U << 20, 4U << 20}, {1, 2, 3, 4, 8}},
      {kMostRemoteBytes, 0, 3, {1U << 20, 2U << 20, 4U << 20}, {2, 4, 8}},
  };
  for (const Large& large : sizes) {
    CaseOptions options{.name = "get_remote/" + std::to_string(large.bytes),
                        .quantity = Quantity::bytes_per_s};
    if (large.goal > 0) options.goal = Goal::ratio_at_least(large.goal);
    if (large.bytes == kMostRemoteBytes) options.rounds = 5;
    add_case(options, [=] { return bandwidth(large); });
  }
  constexpr std::uint64_t kStream = 64U << 20;
  add_case({.name = "get_remote_over_tcp/8"}, [] { return latency_over_tcp(8); });
  add_case({.name = "get_remote_over_tcp/67108864", .quantity = Quantity::bytes_per_s},
           [] { return bandwidth_over_tcp(kStream); });
  add_case({.name = "fi_read_over_tcp/8"}, [] { return read_latency_over_tcp(8); });
  add_case({.name = "fi_read_over_tcp/67108864", .quantity = Quantity::bytes_per_s},
           [] { return read_bandwidth_over_tcp(kStream); });
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(argc, argv, add_cases, end_remote);
}
