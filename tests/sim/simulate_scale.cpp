// simulate_scale MEMBERS...: what grows with the number of members. Each member puts an object under a name,
// looks its neighbour's up, gets it, passes it on to another one, and lets go; in between, all hold for ten
// seconds.
#include <fmt/format.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>

#include "holdfast/base/check.h"
#include "holdfast/version.h"
#include "sim/cluster.h"

namespace {

using namespace holdfast;
using namespace holdfast::sim;
using namespace std::chrono_literals;

std::uint64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmRSS:") {
      std::uint64_t kib = 0;
      status >> kib;
      return kib;
    }
  return 0;
}

class Timer {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct Totals {
  std::uint64_t messages = 0, message_bytes = 0, reads = 0, read_bytes = 0;
  Totals operator-(const Totals& o) const {
    return {messages - o.messages, message_bytes - o.message_bytes, reads - o.reads,
            read_bytes - o.read_bytes};
  }
};

Totals totals(const Network& network) {
  Totals sum;
  for (const Traffic& traffic : network.stats().by_class) {
    sum.messages += traffic.messages;
    sum.message_bytes += traffic.message_bytes;
    sum.reads += traffic.reads;
    sum.read_bytes += traffic.read_bytes;
  }
  return sum;
}

Key name_of(std::uint32_t rank) { return key_of(name("object", rank)).value(); }

/// Starts `task(rank)` on every member and runs until all have ended well; the virtual time it took.
template <class Make, class Then>
Duration on_all(Cluster& cluster, Make make, Then then) {
  const TimePoint start = cluster.timeline().now();
  std::uint32_t left = cluster.size();
  TimePoint last = start;
  for (std::uint32_t rank = 0; rank < cluster.size(); ++rank) {
    spawn(make(rank), [&, rank](auto result) {
      HOLDFAST_CHECK(result.has_value(), result.error().message().c_str());
      then(rank, std::move(result));
      --left;
      last = cluster.timeline().now();
    });
    cluster.life({rank})->nudge();
  }
  while (left > 0) HOLDFAST_CHECK(cluster.timeline().step(), "an operation never ends");
  return last - start;
}

/// Bytes of heap that a block takes, with malloc's own word.
std::uint64_t heap_bytes(const void* block) {
  return block == nullptr ? 0 : malloc_usable_size(const_cast<void*>(block)) + sizeof(void*);
}
std::uint64_t heap_bytes(const std::string& text) {
  return text.capacity() == std::string().capacity() ? 0 : heap_bytes(text.data());
}

/// What a real member keeps of each other one: the card as it is decoded. Of a host with a long name and two
/// NUMA nodes, each with a piece of the arena, and with the addresses of IPv6.
std::uint64_t card_bytes(Card card) {
  card.version = version();
  card.provider = "verbs;ofi_rxm";
  card.protocol = "FI_PROTO_RXM";
  card.host = this_host();
  card.host_name = "node0123.cluster.example.org";
  card.host_socket = fmt::format("holdfast-{:016x}", card.incarnation);
  card.address.resize(28);
  card.keys.resize(2);
  const Card kept = Card::decode(card.encode()).value();
  std::uint64_t bytes = sizeof(Card) + heap_bytes(kept.address.data()) + heap_bytes(kept.keys.data());
  for (const std::string* text :
       {&kept.version, &kept.provider, &kept.protocol, &kept.host, &kept.host_name, &kept.host_socket})
    bytes += heap_bytes(*text);
  return bytes;
}

/// Nanoseconds of this machine's processor, which is not in the virtual one.
double home_ns(const Peers& peers) {
  constexpr std::uint32_t kNames = 1000;
  std::uint64_t sum = 0;
  const std::clock_t start = std::clock();
  for (std::uint32_t i = 0; i < kNames; ++i) sum += peers.home_of(name_of(i)).value;
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  HOLDFAST_CHECK(sum <= std::uint64_t{kNames} * peers.size(), "homes are members");
  return seconds / kNames * 1e9;
}

void run(std::uint32_t members) {
  ClusterOptions options;
  options.members = members;
  options.members_per_host = 10;
  options.hosts_per_rack = 20;
  options.life.arena_bytes = 64 * 1024;
  options.life.catalogue_entries = 64;
  options.life.pins = 64;
  options.life.lifetime.collect = Collect::eager;
  options.life.lifetime.token_lifetime = 1s;
  options.network.trace_contents = false;
  options.network.core_a_thread = true;
  const std::uint64_t rss_before = resident_kib();
  const Timer timer;
  auto started = Cluster::start(1, options);
  HOLDFAST_CHECK(started.has_value(), started.error().message().c_str());
  Cluster& cluster = **started;
  const double start_s = timer.seconds();
  const std::uint64_t rss_started = resident_kib();
  std::vector<Handle> own(members), other(members), third(members);
  const auto app = [&](std::uint32_t rank) -> Application& { return cluster.life({rank})->application(); };
  const std::vector<std::byte> bytes(1000, std::byte{1});

  const Timer running;
  Totals before = totals(cluster.network());
  const auto per_member = [&](std::string_view what, Duration took) {
    const Totals now = totals(cluster.network()), spent = now - before;
    before = now;
    fmt::print(
        "  {:<28} {:>9.1f} us virtual; a member: {:.2f} messages, {:.0f} bytes of them, {:.2f} reads, {:.0f} "
        "bytes read\n",
        what, static_cast<double>(took.count()) / 1e3, static_cast<double>(spent.messages) / members,
        static_cast<double>(spent.message_bytes) / members, static_cast<double>(spent.reads) / members,
        static_cast<double>(spent.read_bytes) / members);
  };
  const auto next = [&](std::uint32_t rank, std::uint32_t by) { return (rank + by) % members; };
  per_member("put under a name",
             on_all(
                 cluster, [&](std::uint32_t rank) { return app(rank).put(bytes, name_of(rank), 60s); },
                 [&](std::uint32_t rank, auto held) { own[rank] = std::move(*held); }));
  per_member("look a name up and hold",
             on_all(
                 cluster,
                 [&](std::uint32_t rank) {
                   return app(rank).lookup(name_of(next(rank, 1)), GetOptions::Missing::fail, 60s);
                 },
                 [&](std::uint32_t rank, auto held) { other[rank] = std::move(*held); }));
  per_member("get by reference", on_all(
                                     cluster,
                                     [&](std::uint32_t rank) {
                                       return app(rank).get(other[rank].entry, {}, GetOptions::Missing::fail,
                                                            60s);
                                     },
                                     [](std::uint32_t, const auto&) {}));
  std::vector<PassedToken> tokens;
  for (std::uint32_t rank = 0; rank < members; ++rank) tokens.push_back(app(rank).token(other[rank]));
  per_member("redeem a token",
             on_all(
                 cluster, [&](std::uint32_t rank) { return app(rank).redeem(tokens[next(rank, 3)], 60s); },
                 [&](std::uint32_t rank, auto held) { third[rank] = std::move(*held); }));
  const Duration held = 10s;
  cluster.timeline().run_for(held);
  per_member("10 s in which all hold two", held);
  other.clear();
  third.clear();
  cluster.timeline().run_for(2s);
  per_member("drop both", 2s);
  const double run_s = running.seconds();
  const std::uint64_t rss_ended = resident_kib();
  const auto events = static_cast<double>(cluster.timeline().events_run());
  const std::uint64_t card = card_bytes(cluster.life({0})->card());
  fmt::print("{} members: {:.0f} KiB each resident at the start, {:.0f} at the end\n", members,
             static_cast<double>(rss_started - rss_before) / members,
             static_cast<double>(rss_ended - rss_before) / members);
  fmt::print("cards of all, shared here: {:.1f} KiB in each real member, {} B a card\n",
             static_cast<double>(card * members) / 1024, card);
  fmt::print("choosing a name's home, not in the times above: {:.2f} us here\n",
             home_ns(*cluster.life({0})->job().peers) / 1e3);
  fmt::print("start {:.1f} s, {:.2f} million events in {:.1f} s: {:.2f} million/s\n", start_s, events / 1e6,
             run_s, events / run_s / 1e6);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print(stderr, "usage: simulate_scale MEMBERS...\n");
    return 2;
  }
  // Each in a process of its own: what one leaves in the heap would be missing in the memory of the next.
  for (int i = 1; i < count; ++i) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      run(static_cast<std::uint32_t>(std::strtoul(arguments[i], nullptr, 10)));
      std::fflush(stdout);
      _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
  }
  return 0;
}
