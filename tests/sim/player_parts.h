// Plays one scenario: what its programs do is in player.cpp, what befalls them in player_faults.cpp.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "holdfast/base/check.h"
#include "sim/cluster.h"
#include "tests/sim/oracle.h"
#include "tests/sim/player.h"

namespace holdfast::sim::test {

using namespace std::chrono_literals;
using Operation = Oracle::Operation;

/// Of each of a scenario's disks, bytes.
std::uint64_t capacity_of(const Scenario& scenario);
ClusterOptions options_of(const Scenario& scenario);

class Player {
 public:
  explicit Player(const Scenario& scenario)
      : scenario_(scenario),
        cluster_(start(scenario)),
        oracle_(*cluster_, scenario_),
        random_(cluster_->timeline().random(kChoices)),
        hands_(scenario.members) {}

  ~Player() {
    // Operations that never end do here, while everything they tell is still there.
    for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) fault({0, rank, Act::crash});
  }
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  Played play() {
    const TimePoint begin = timeline().now();
    for (const Step& step : scenario_.steps) {
      timeline().run_until(begin + std::chrono::microseconds(step.at_us));
      act(step);
      check_kept();
    }
    settle();
    played_.violations = oracle_.violations();
    played_.trace_hash = timeline().trace().hash();
    played_.events = timeline().events_run();
    return std::move(played_);
  }

 private:
  static constexpr std::uint64_t kChoices = 2000;
  static constexpr Duration kTimeouts[] = {5ms, 100ms, 3s};

  /// What a member's program has in hands, in its present life.
  struct Held {
    Handle handle;
    TimePoint since;
  };
  struct Hands {
    std::map<std::uint32_t, Held> held;
    std::map<std::uint32_t, std::unique_ptr<DraftState>> drafts;
    std::map<std::uint64_t, Pin> pins;
  };
  struct Bearer {
    MemberId member;
    const Held* held = nullptr;
  };

  static std::unique_ptr<Cluster> start(const Scenario& scenario) {
    auto started = Cluster::start(scenario.seed, options_of(scenario));
    HOLDFAST_CHECK(started.has_value(), "the cluster of a scenario starts");
    return std::move(*started);
  }

  Timeline& timeline() { return cluster_->timeline(); }
  Application& app(MemberId member) { return cluster_->life(member)->application(); }
  bool runs(MemberId member) { return cluster_->running(member) != nullptr; }

  Operation begin(MemberId member, Act act, std::uint32_t object, std::uint32_t name, Duration timeout) {
    std::string what = fmt::format("{} of object {}", to_string(act), object);
    if (name != 0) what += fmt::format(" under name {}", name);
    return {std::move(what),
            member,
            cluster_->lives(member),
            timeline().now(),
            Deadline::after(timeline().clock(), timeout),
            {},
            object,
            name};
  }
  /// True if it counts: the life that has started it is still there.
  bool end(const Operation& operation, Act act, std::optional<Code> code) {
    const bool lives = cluster_->life(operation.member) != nullptr &&
                       !cluster_->life(operation.member)->leaving() &&
                       cluster_->lives(operation.member) == operation.life;
    const std::uint64_t ended = code ? 1 + static_cast<std::uint64_t>(*code) : 0;
    timeline().note(TraceKind::user, static_cast<std::uint64_t>(act), operation.member.value, ended);
    if (!lives) return false;
    ++played_.ended[fmt::format("{} {}", to_string(act), code ? to_string(*code) : "ok")];
    oracle_.ended(operation);
    return true;
  }
  template <class T>
  static std::optional<Code> code_of(const Result<T>& result) {
    return result ? std::nullopt : std::optional<Code>(result.error().code);
  }
  /// Starts it; `then(result)` is called if its life is still there when it ends.
  template <class T, class Then>
  void run(Act act, const Operation& operation, Task<T> task, Then then) {
    const std::uint64_t number = next_operation_++;
    under_way_.emplace(number, operation);
    oracle_.begun(number, operation);
    spawn(std::move(task), [this, act, operation, number, then = std::move(then)](T result) mutable {
      under_way_.erase(number);
      if (result) oracle_.let_go(number, timeline().now());
      if (end(operation, act, code_of(result))) then(operation, result);
    });
    nudge(operation.member);
  }
  void nudge(MemberId member) {
    if (Life* const life = cluster_->running(member)) life->nudge();
  }
  Duration timeout() { return kTimeouts[random_.below(std::size(kTimeouts))]; }

  std::optional<Bearer> bearer(const Step& step) {
    for (std::uint32_t i = 0; i < cluster_->size(); ++i) {
      const MemberId member{(step.member + i) % cluster_->size()};
      if (!runs(member)) continue;
      auto& held = hands_[member.value].held;
      if (const auto found = held.find(step.object); found != held.end())
        return Bearer{member, &found->second};
    }
    return std::nullopt;
  }

  void take(MemberId member, std::uint32_t object, Handle handle) {
    if (is_over_) return;  // what was under way for long: nobody holds anything any more
    hands_[member.value].held[object] = {std::move(handle), timeline().now()};
  }
  void act(const Step& step);
  void act_by_handle(const Step& step);
  void act_by_name(const Step& step);
  void make(const Step& step);
  void made(const Step& step, std::unique_ptr<DraftState> draft);
  void seal(const Step& step);
  void get_many(MemberId member, const Entry& like);
  void pass(MemberId from, const Held& held, std::uint32_t object, MemberId to, std::uint64_t onward);
  void redeem(PassedToken token, Oracle::Token known, MemberId to, std::uint64_t onward);
  void call_off(const Step& step);
  void arrive(MemberId member);
  void fault(const Step& step);
  void disk_fault(const Step& step);
  void lose_power(HostId host);
  void give_power_back();
  void let_go(MemberId member) { const Hands gone = std::exchange(hands_[member.value], {}); }
  void check_kept() {
    for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank)
      if (cluster_->life({rank}) != nullptr && !cluster_->life({rank})->leaving())
        for (const auto& [object, held] : hands_[rank].held) oracle_.check_kept({rank}, object, held.since);
  }
  void get_everything();
  void settle();

  Scenario scenario_;
  std::unique_ptr<Cluster> cluster_;
  Oracle oracle_;
  Random random_;
  std::vector<Hands> hands_;
  std::set<std::uint32_t> dark_;                                ///< hosts without power
  std::set<std::uint32_t> making_;                              ///< objects whose put waits for room, or has
  std::set<std::pair<std::uint32_t, std::uint32_t>> arriving_;  ///< at a barrier: members, in which life
  bool is_over_ = false;
  std::uint64_t next_pin_ = 0;
  std::uint64_t next_operation_ = 0;
  std::map<std::uint64_t, Operation> under_way_;
  Played played_;
};

}  // namespace holdfast::sim::test
