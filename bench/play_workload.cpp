// A workload of `holdfast simulate` with a real store: run by a launcher, it does what the simulator plays
// and prints how long that took, as JSON, so that a forecast can be held against it
// (bench/compare_forecasts.py).
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/measure.h"
#include "holdfast/holdfast.h"
#include "holdfast/sim/workload.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;
using sim::Pattern;
using sim::Workload;

constexpr Duration kPatience = 300s;

Name letter_name(std::uint32_t from, std::uint32_t to) { return name("letter", from, to); }
Name object_name(const sim::ObjectNumber& of) { return name("object", of.owner, of.index); }

/// The same steps as core/sim/worker.cpp.
class Player {
 public:
  Player(Store& store, const Workload& workload)
      : store_(store), workload_(workload), payload_(workload.object_bytes, std::byte{1}) {}

  Status put_all() {
    if (workload_.pattern == Pattern::shuffle) return put_shuffle();
    for (std::uint32_t k = 0; k < workload_.objects_of(store_.rank()); ++k) {
      HOLDFAST_TRY(ObjectRef ref, store_.put(object_name({store_.rank(), k}), payload_, options()));
      own_.push_back(std::move(ref));
    }
    return {};
  }

  Status get_all() {
    const std::uint32_t me = store_.rank(), size = store_.size();
    if (workload_.pattern == Pattern::shuffle) {
      for (std::uint32_t i = 1; i < size; ++i) HOLDFAST_DO(get_letter((me + size - i) % size));
    } else if (workload_.pattern == Pattern::broadcast) {
      for (std::uint32_t k = 0; me != 0 && k < workload_.objects; ++k)
        HOLDFAST_DO(start_get(object_name({0, k})));
    } else {
      HOLDFAST_DO(get_drawn());
    }
    return end_gets(0);
  }

 private:
  static PutOptions options() {
    PutOptions options;
    options.timeout = kPatience;
    return options;
  }

  Status put_shuffle() {
    const std::uint32_t me = store_.rank(), size = store_.size();
    for (std::uint32_t i = 1; i < size; ++i) {
      const std::uint32_t to = (me + i) % size;
      std::string letter;
      for (std::uint32_t k = 0; k < workload_.objects; ++k) {
        HOLDFAST_TRY(const ObjectRef ref, store_.put(payload_, options()));
        letter += ref.token() + '\n';
      }
      HOLDFAST_DO(store_.put(letter_name(me, to), std::as_bytes(std::span(letter)), options()));
    }
    return {};
  }

  Status get_letter(std::uint32_t from) {
    const Name where = letter_name(from, store_.rank());
    std::vector<ObjectRef> refs;
    {
      HOLDFAST_TRY(const Pin letter, store_.get(where, kPatience));
      std::istringstream lines(
          std::string(reinterpret_cast<const char*>(letter.bytes().data()), letter.size()));
      for (std::string token; std::getline(lines, token);) {
        HOLDFAST_TRY(ObjectRef ref, store_.redeem(token, kPatience));
        refs.push_back(std::move(ref));
      }
    }
    for (const ObjectRef& ref : refs) HOLDFAST_DO(start_get(ref));
    HOLDFAST_DO(end_gets(0));
    return store_.erase(where, kPatience);
  }

  Status get_drawn() {
    for (const std::uint32_t number : sim::Draws(workload_).of(store_.rank())) {
      auto held = held_.find(number);
      if (held == held_.end()) {
        HOLDFAST_TRY(ObjectRef ref,
                     store_.lookup(object_name(sim::object_number(workload_, number)), kPatience));
        held = held_.emplace(number, std::move(ref)).first;
      }
      HOLDFAST_DO(start_get(held->second));
    }
    return {};
  }

  template <class Target>
  Status start_get(const Target& target) {
    HOLDFAST_DO(end_gets(workload_.in_flight - 1));
    under_way_.push_back(store_.fetch(target, {.timeout = kPatience}));
    return {};
  }

  /// Until no more than `most` are under way.
  Status end_gets(std::size_t most) {
    while (under_way_.size() > most) {
      HOLDFAST_TRY(const Pin pin, std::move(under_way_.front()).wait(kPatience));
      under_way_.pop_front();
      if (pin.size() != workload_.object_bytes)
        return fail(Code::corrupt, "play_workload", "an object came back with another size");
    }
    return {};
  }

  Store& store_;
  const Workload& workload_;
  const std::vector<std::byte> payload_;
  std::vector<ObjectRef> own_;
  std::map<std::uint32_t, ObjectRef> held_;
  std::deque<Op<Pin>> under_way_;
};

struct Given {
  std::string workload, object_size = "1MiB", arena;
  Workload figures;
  unsigned settle_ms = 1000;
};

Status play(Given given) {
  Workload& workload = given.figures;
  HOLDFAST_TRY(workload.pattern, sim::parse_pattern(given.workload));
  HOLDFAST_TRY(workload.object_bytes, parse_bytes(given.object_size));
  HOLDFAST_TRY(StoreOptions options, StoreOptions::from_environment());
  HOLDFAST_DO(check(workload));
  options.arena.bytes = sim::sufficient_arena(workload);
  if (!given.arena.empty()) {
    HOLDFAST_TRY(options.arena.bytes, parse_bytes(given.arena));
  }
  options.catalogue_entries = sim::sufficient_catalogue(workload);
  options.lifetime.token_lifetime = 24h;
  HOLDFAST_TRY(Store store, Store::open(options));
  if (store.size() != workload.members)
    return fail(Code::invalid, "play_workload",
                fmt::format("started as {} ranks, --members is {}", store.size(), workload.members));
  Player player(store, workload);
  // Arenas are prefaulted in the background: what is to be measured comes after that.
  std::this_thread::sleep_for(std::chrono::milliseconds(given.settle_ms));
  HOLDFAST_DO(store.barrier(kPatience));
  const Stopwatch putting;
  HOLDFAST_DO(player.put_all());
  HOLDFAST_DO(store.barrier(kPatience));
  const double put_ns = putting.ns();
  const Stopwatch getting;
  HOLDFAST_DO(player.get_all());
  HOLDFAST_DO(store.barrier(kPatience));
  const double get_ns = getting.ns();
  const Stats stats = store.stats();
  HOLDFAST_DO(store.barrier(kPatience));
  fmt::print(
      "{{\"rank\": {}, \"put_ns\": {:.0f}, \"get_ns\": {:.0f}, \"spills\": {}, \"restores\": {}, "
      "\"gets_from_disk\": {}, \"reference_messages\": {}}}\n",
      store.rank(), put_ns, get_ns, stats.spills, stats.restores, stats.gets_from_disk,
      stats.reference_messages);
  return {};
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  holdfast::bench::Given given;
  CLI::App app("A rank of a workload as `holdfast simulate` plays it; start it with holdfast-run or mpirun.",
               "play_workload");
  app.add_option("--workload", given.workload, "shuffle, broadcast, random or outofcore")->required();
  app.add_option("--members", given.figures.members, "ranks of the job")->required();
  app.add_option("--object-size", given.object_size, "bytes of each object")->capture_default_str();
  app.add_option("--objects", given.figures.objects, "as simulate's")->capture_default_str();
  app.add_option("--gets", given.figures.gets, "of each member: random, outofcore")->capture_default_str();
  app.add_option("--skew", given.figures.skew, "Zipf's exponent")->capture_default_str();
  app.add_option("--in-flight", given.figures.in_flight, "gets under way")->capture_default_str();
  app.add_option("--seed", given.figures.seed, "of what is got")->capture_default_str();
  app.add_option("--arena", given.arena, "bytes a member; by default enough for its objects");
  app.add_option("--settle-ms", given.settle_ms, "before it begins: the arena is prefaulted meanwhile")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto played = holdfast::bench::play(given);
  if (played) return 0;
  fmt::print(stderr, "{}\n", played.error().message());
  return 1;
}
