// One member of a workload that is played: its coroutines on the application of a simulated member. What the
// library's own work costs is charged to the thread of that application.
#pragma once

#include <array>
#include <coroutine>
#include <map>
#include <optional>
#include <vector>

#include "holdfast/sim/forecast.h"
#include "sim/cluster.h"
#include "src/protocols.h"

namespace holdfast::sim {

/// What the members of one workload share. Tokens go from hand to hand here; their letters through the store.
struct Script {
  const ForecastOptions& options;
  Draws draws;
  std::vector<std::vector<std::vector<PassedToken>>> tokens;  ///< [from][to], of a shuffle

  explicit Script(const ForecastOptions& all)
      : options(all), draws(all.workload), tokens(all.workload.members) {}
};

/// Bytes of a token's text and a line's end, about.
inline constexpr std::uint64_t kTokenBytes = 120;

class Worker {
 public:
  /// Both outlive it, and what it has started.
  Worker(Cluster& cluster, Script& script, std::uint32_t rank);

  Task<Status> put_all();
  Task<Status> get_all();
  /// Lets go of all it holds.
  void drop_all();

  struct Tally {
    std::array<PathTraffic, kPaths> paths;
    std::uint64_t puts = 0, put_bytes = 0, gets = 0, get_bytes = 0;  ///< letters are not counted
  };
  const Tally& tally() const noexcept { return tally_; }

 private:
  class Busy;
  /// Gets under way, of which there are so many at most.
  class Window {
   public:
    explicit Window(std::uint32_t most) noexcept : most_(most) {}
    class Wait;
    Wait room() noexcept;
    Wait all_ended() noexcept;
    void begin() noexcept { ++under_way_; }
    void end(Status status);
    const Status& first_error() const noexcept { return status_; }

   private:
    const std::uint32_t most_;
    std::uint32_t under_way_ = 0;
    std::uint32_t wanted_ = 0;  ///< who waits does until no more than so many are under way
    std::coroutine_handle<> waiting_;
    Status status_;
  };

  Busy busy(Duration time);
  /// The thread chooses a name's home.
  Busy choose_home();
  Task<Result<Handle>> put(std::uint64_t bytes, std::optional<Key> name);
  Task<Status> get(Target target, std::uint32_t owner, std::uint64_t bytes);
  void start_get(Target target, std::uint32_t owner);
  Path path_from(std::uint32_t owner) const;
  void note_get(std::uint32_t owner, std::uint64_t bytes);

  // The patterns.
  Task<Status> put_shuffle();
  Task<Status> put_named();
  Task<Status> get_letter(std::uint32_t from);
  Task<Status> get_broadcast();
  Task<Status> get_drawn();

  Cluster& cluster_;
  Script& script_;
  const Workload& workload_;
  const std::uint32_t rank_;
  Life& life_;
  Application& application_;
  Window window_;
  std::vector<Handle> own_;
  std::map<std::uint32_t, Handle> held_;  ///< of a workload that draws, by number
  std::vector<Handle> redeemed_;
  Tally tally_;
};

}  // namespace holdfast::sim
