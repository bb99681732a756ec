// How long does the first get of a name take, whose home is the other member? The limit is one small fi_read;
// such a get needs two, of the home's catalogue and of the object.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/remote.h"
#include "core/src/peers.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr int kNamesARound = 100;
constexpr int kRounds = 20;
constexpr std::uint64_t kNamesAPut = 4000;

/// Names that no get has seen, with the peer as their home; more are put when they run out.
class FreshNames {
 public:
  explicit FreshNames(Pair& pair) : pair_(pair), members_(MemberId{0}, std::vector<Card>(2)) {}

  Result<Name> take() {
    for (;;) {
      if (next_ == kNamesAPut || prefix_.empty()) {
        prefix_ = "fresh" + std::to_string(batch_++);
        next_ = 0;
        HOLDFAST_DO(pair_.put({.count = kNamesAPut, .bytes = 8, .prefix = prefix_}));
      }
      Name fresh = name(prefix_, next_++);
      HOLDFAST_TRY(const Key key, key_of(fresh));
      if (members_.home_of(key) == MemberId{1}) return fresh;
    }
  }

 private:
  Pair& pair_;
  Peers members_;  ///< only for home_of, which needs nothing but their number
  std::string prefix_;
  std::uint64_t batch_ = 0;
  std::uint64_t next_ = 0;
};

Result<double> time_gets(Store& store, FreshNames& names) {
  std::vector<Name> fresh;
  for (int i = 0; i < kNamesARound; ++i) {
    HOLDFAST_TRY(Name one, names.take());
    fresh.push_back(std::move(one));
  }
  std::vector<double> times;
  for (const Name& one : fresh) {
    const Stopwatch watch;
    HOLDFAST_TRY(const Pin pin, store.get(one, 10s));
    times.push_back(watch.ns());
  }
  return median(std::move(times));
}

Result<Case> prepare() {
  HOLDFAST_TRY(Remote* const at, remote());
  auto names = std::make_shared<FreshNames>(*at->pair);
  return Case{[=] { return at->raw->read_latency_ns(8, kNamesARound); },
              [=] { return time_gets(at->pair->store(), *names); }};
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(
      argc, argv,
      [] { add_case({.name = "get_name/8", .goal = Goal::ratio_at_most(2.3), .rounds = kRounds}, prepare); },
      end_remote);
}
