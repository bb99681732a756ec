// How many messages do references cost in a shuffle, and how does that grow with the members? Each member
// puts objects for each other one, passes references as tokens under names; the other redeems, gets and drops
// them. The limit is what it would cost without batches: a hold and a drop for each object.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/measure.h"
#include "bench/spawn.h"
#include "holdfast/holdfast.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kMemberArgument = "--holdfast-bench-shuffle";
constexpr std::uint64_t kObjectBytes = 4096;
constexpr std::uint32_t kRounds = 40;
constexpr double kUnbatched = 2;
constexpr Duration kPatience = 60s;

struct Counts {
  std::uint64_t messages = 0;
  std::uint64_t objects = 0;
  double ns = 0;
};

/// One round: to and from each other member.
Status shuffle(Store& store, std::uint32_t round, std::uint32_t objects) {
  const std::uint32_t me = store.rank(), size = store.size();
  const std::vector<std::byte> payload(kObjectBytes);
  for (std::uint32_t i = 1; i < size; ++i) {
    std::string letter;
    for (std::uint32_t k = 0; k < objects; ++k) {
      HOLDFAST_TRY(const ObjectRef ref, store.put(payload));
      letter += ref.token() + '\n';
    }
    HOLDFAST_DO(store.put(name("shuffle", round, me, (me + i) % size), std::as_bytes(std::span(letter))));
  }
  for (std::uint32_t i = 1; i < size; ++i) {
    const Name from = name("shuffle", round, (me + size - i) % size, me);
    std::vector<ObjectRef> refs;
    {
      HOLDFAST_TRY(const Pin letter, store.get(from, kPatience));
      std::istringstream lines(
          std::string(reinterpret_cast<const char*>(letter.bytes().data()), letter.size()));
      for (std::string token; std::getline(lines, token);) {
        HOLDFAST_TRY(ObjectRef ref, store.redeem(token, kPatience));
        refs.push_back(std::move(ref));
      }
    }
    for (const ObjectRef& ref : refs) HOLDFAST_DO(store.get(ref, kPatience));
    HOLDFAST_DO(store.erase(from, kPatience));
  }
  return {};
}

Result<Counts> run_member(std::uint32_t objects) {
  HOLDFAST_TRY(StoreOptions options, StoreOptions::from_environment());
  options.arena.bytes = 256_MiB;
  HOLDFAST_TRY(Store store, Store::open(options));
  HOLDFAST_DO(store.barrier(kPatience));
  const Stopwatch watch;
  for (std::uint32_t round = 0; round < kRounds; ++round) HOLDFAST_DO(shuffle(store, round, objects));
  HOLDFAST_DO(store.barrier(kPatience));
  Counts counts{0, std::uint64_t{kRounds} * objects * (store.size() - 1), watch.ns()};
  // The last drops are reported within 5 ms.
  std::this_thread::sleep_for(50ms);
  counts.messages = store.stats().reference_messages;
  HOLDFAST_DO(store.barrier(kPatience));
  return counts;
}

int serve(const char* objects_text) {
  const auto counts = run_member(static_cast<std::uint32_t>(std::stoul(objects_text)));
  std::ostringstream line;
  if (counts)
    line << "counts " << counts->messages << ' ' << counts->objects << ' ' << counts->ns << '\n';
  else
    line << "error " << counts.error().message() << '\n';
  return write_all(kChildSocket, line.str()) && counts ? 0 : 1;
}

/// What the member says until it ends.
std::string hear(int socket) {
  std::string said;
  char buffer[512];
  for (ssize_t got = 0; (got = ::read(socket, buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(got));
  return said;
}

Result<Counts> run_job(std::uint32_t members, std::uint32_t objects) {
  HOLDFAST_TRY(const RendezvousDirectory directory, RendezvousDirectory::create());
  std::vector<Spawned> ranks;
  Status started;
  for (std::uint32_t rank = 0; rank < members && started; ++rank) {
    auto spawned =
        spawn_rank(directory, {rank, members}, {std::string(kMemberArgument), std::to_string(objects)});
    if (spawned)
      ranks.push_back(std::move(*spawned));
    else
      started = tl::unexpected(std::move(spawned).error());
  }
  Counts all;
  for (const Spawned& rank : ranks) {
    std::string kind = "error", said;
    if (started) {
      said = hear(rank.socket.get());
      std::istringstream in(said);
      Counts one;
      in >> kind >> one.messages >> one.objects >> one.ns;
      all.messages += one.messages;
      all.objects += one.objects;
      all.ns = std::max(all.ns, one.ns);
    }
    if (kind != "counts" && started) started = fail(Code::system, "bench::gc_messages", said);
    end_rank(rank.pid);
  }
  if (!started) return tl::unexpected(started.error());
  return all;
}

void add_shuffle(std::uint32_t members, std::uint32_t objects) {
  const auto run = [=](benchmark::State& state) {
    Counts counts;
    for ([[maybe_unused]] const auto unused : state) {
      const auto made = run_job(members, objects);
      if (!made) return state.SkipWithError(made.error().message().c_str());
      counts = *made;
      state.SetIterationTime(counts.ns * 1e-9);
    }
    const double each = static_cast<double>(counts.messages) / static_cast<double>(counts.objects);
    state.counters["measured"] = each;
    state.counters["limit"] = kUnbatched;
    state.counters["ratio"] = each / kUnbatched;
    state.counters["messages"] = static_cast<double>(counts.messages);
    state.counters["objects"] = static_cast<double>(counts.objects);
    state.SetLabel("messages");
  };
  const std::string name =
      "gc_messages/members:" + std::to_string(members) + "/objects:" + std::to_string(objects);
  benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Iterations(1);
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  if (argc == 3 && argv[1] == kMemberArgument) return serve(argv[2]);
  return run_benchmarks(argc, argv, [] {
    for (const std::uint32_t objects : {1U, 16U})
      for (const std::uint32_t members : {2U, 4U, 8U}) add_shuffle(members, objects);
  });
}
