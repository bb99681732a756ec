// How often does each eviction policy keep what is asked for next, beside Belady's MIN on the same trace? And
// what does an operation cost among 1,000,000 objects, beside a std::list and a std::unordered_map?
#include "core/src/eviction.h"

#include <benchmark/benchmark.h>

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/eviction_trace.h"
#include "bench/measure.h"
#include "holdfast/base/random.h"

namespace holdfast::bench {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kObjects = 1'000'000;
constexpr int kOperations = 50'000;

struct Policy {
  const char* name;
  Eviction kind;
};
constexpr Policy kPolicies[] = {{"lru", Eviction::lru}, {"s3_fifo", Eviction::s3_fifo}};

/// A trace with what the future allows on it, made when first needed.
class Course {
 public:
  explicit Course(Trace trace)
      : trace_(std::move(trace)), belady_(belady_hit_ratio(trace_)), bound_(hit_ratio_bound(trace_)) {}
  const Trace& trace() const noexcept { return trace_; }
  double belady() const noexcept { return belady_; }
  double bound() const noexcept { return bound_; }

 private:
  Trace trace_;
  double belady_, bound_;
};

struct Played {
  double hit_ratio = 0;
  double ns_an_access = 0;
};

Played play(const Trace& trace, Eviction kind) {
  const auto policy = make_eviction_policy(kind, trace.capacity);
  std::vector<bool> inside(trace.sizes.size());
  std::size_t hits = 0;
  const Stopwatch watch;
  for (const std::uint32_t key : trace.keys) {
    if (inside[key]) {
      ++hits;
      policy->hit(key);
      continue;
    }
    while (policy->bytes() + trace.sizes[key] > trace.capacity) inside[*policy->evict()] = false;
    policy->insert(key, trace.sizes[key]);
    inside[key] = true;
  }
  const auto accesses = static_cast<double>(trace.keys.size());
  return {static_cast<double>(hits) / accesses, watch.ns() / accesses};
}

/// Reported as add_case does, but once: the hit ratio is the same in every repetition, only the time is not.
/// (And how much a counter varies that is always 0, as on the loop, would be NaN, which is no JSON.)
void add_hits(const std::string& trace_name, Trace (*make)(std::uint64_t seed)) {
  const auto course = std::make_shared<std::unique_ptr<Course>>();
  for (const Policy& policy : kPolicies) {
    const auto run = [=, kind = policy.kind](benchmark::State& state) {
      if (!*course) *course = std::make_unique<Course>(make(kSeed));
      Played played;
      for ([[maybe_unused]] const auto unused : state) {
        played = play((*course)->trace(), kind);
        state.SetIterationTime(played.ns_an_access * 1e-9);
      }
      state.counters["measured"] = played.hit_ratio;
      state.counters["limit"] = (*course)->belady();
      state.counters["ratio"] = played.hit_ratio / (*course)->belady();
      state.counters["bound"] = (*course)->bound();
      state.SetLabel("hits");
    };
    const std::string name = "eviction/hits/" + trace_name + "/" + policy.name;
    benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Iterations(5)->Repetitions(1);
  }
}

/// Least recently used as it is usually written.
class ListAndMap final : public EvictionPolicy {
 public:
  void insert(std::uint64_t key, std::uint64_t bytes) override {
    used_.push_front({key, bytes});
    index_.emplace(key, used_.begin());
    bytes_ += bytes;
  }
  void hit(std::uint64_t key) noexcept override {
    if (const auto found = index_.find(key); found != index_.end())
      used_.splice(used_.begin(), used_, found->second);
  }
  bool erase(std::uint64_t key) noexcept override {
    const auto found = index_.find(key);
    if (found == index_.end()) return false;
    bytes_ -= found->second->bytes;
    used_.erase(found->second);
    index_.erase(found);
    return true;
  }
  void set_aside(std::uint64_t key) noexcept override { (void)erase(key); }
  std::optional<std::uint64_t> evict() noexcept override {
    if (used_.empty()) return std::nullopt;
    const std::uint64_t key = used_.back().key;
    erase(key);
    return key;
  }
  std::size_t size() const noexcept override { return used_.size(); }
  std::uint64_t bytes() const noexcept override { return bytes_; }

 private:
  struct Object {
    std::uint64_t key;
    std::uint64_t bytes;
  };
  std::list<Object> used_;
  std::unordered_map<std::uint64_t, std::list<Object>::iterator> index_;
  std::uint64_t bytes_ = 0;
};

constexpr std::uint64_t kBytes = 4096;

/// A set of kObjects, numbered as they come.
struct Full {
  explicit Full(std::unique_ptr<EvictionPolicy> made) : policy(std::move(made)) {
    for (; next < kObjects; ++next) policy->insert(next, kBytes);
  }
  /// Hits on random objects.
  double time_hits() {
    const Stopwatch watch;
    for (int i = 0; i < kOperations; ++i) policy->hit(mix64(++random) % kObjects);
    return watch.ns() / kOperations;
  }
  /// One goes, one comes, in the order of their numbers.
  double time_replacing() {
    const Stopwatch watch;
    for (int i = 0; i < kOperations; ++i) {
      benchmark::DoNotOptimize(policy->evict());
      policy->insert(next++, kBytes);
    }
    return watch.ns() / kOperations;
  }
  /// The same, and one of as many as there are newest is hit, if it is still there: the order gets mixed.
  double time_mixed() {
    const Stopwatch watch;
    for (int i = 0; i < kOperations; ++i) {
      policy->hit(next - 1 - mix64(++random) % kObjects);
      benchmark::DoNotOptimize(policy->evict());
      policy->insert(next++, kBytes);
    }
    return watch.ns() / kOperations;
  }
  std::unique_ptr<EvictionPolicy> policy;
  std::uint64_t next = 0;
  std::uint64_t random = 0;
};

void add_time(const std::string& what, double (Full::*time)()) {
  for (const Policy& policy : kPolicies) {
    add_case({.name = "eviction/" + what + "/1000000/" + policy.name, .rounds = 25},
             [=, kind = policy.kind]() -> Result<Case> {
               auto subject = std::make_shared<Full>(make_eviction_policy(kind, kObjects * kBytes));
               auto limit = std::make_shared<Full>(std::make_unique<ListAndMap>());
               return Case{[=]() -> Result<double> { return (*limit.*time)(); },
                           [=]() -> Result<double> { return (*subject.*time)(); }};
             });
  }
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(argc, argv, [] {
    add_hits("zipf", zipf_trace);
    add_hits("scanned", scanned_trace);
    add_hits("loop", loop_trace);
    add_time("hit", &Full::time_hits);
    add_time("replace", &Full::time_replacing);
    add_time("mixed", &Full::time_mixed);
  });
}
