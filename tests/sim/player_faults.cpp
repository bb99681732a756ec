#include <algorithm>

#include "tests/sim/player_parts.h"

namespace holdfast::sim::test {
namespace {

// Operations end, deaths are noticed, and what could not be told is told again: longer than the longest pause
// before that. Where nothing was done to anybody, as long as operations may take.
constexpr Duration kSettle = 40s, kCalmSettle = 6s;
// From then on all hear each other at once: drops come, a home's death is noticed, names go.
constexpr Duration kLetGo = 15s, kErase = 5s;

bool is_trouble(Act act) {
  switch (act) {
    case Act::crash:
    case Act::leave:
    case Act::restart:
    case Act::stop:
    case Act::slow:
    case Act::slow_host:
    case Act::cut:
    case Act::break_link:
    case Act::power_loss:
    case Act::full_queues:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Player::fault(const Step& step) {
  const MemberId member{step.member}, other{step.other % cluster_->size()};
  Network& network = cluster_->network();
  const HostId one[] = {cluster_->host(member)}, two[] = {cluster_->host(other)};
  switch (step.act) {
    case Act::crash:
      oracle_.trouble(member);
      oracle_.resumed(member);  // for the life that comes
      cluster_->crash(member);
      return let_go(member);
    case Act::leave:
      if (!runs(member)) return;
      oracle_.left(member);
      cluster_->leave(member);
      return let_go(member);
    case Act::restart:
      return dark_.contains(one[0].value) ? void() : cluster_->restart(member);
    case Act::power_loss:
      return lose_power(one[0]);
    case Act::power_back:
      return give_power_back();
    case Act::full_queues:
      oracle_.trouble(member);
      return network.limit_queues(cluster_->process(member), static_cast<std::uint32_t>(step.amount));
    case Act::stop:
      if (!runs(member)) return;
      oracle_.stopped(member);
      return cluster_->stop(member);
    case Act::resume:
      if (cluster_->life(member) == nullptr || !network.stopped(cluster_->process(member))) return;
      oracle_.resumed(member);
      return cluster_->resume(member);
    case Act::slow:
      if (!runs(member)) return;
      oracle_.trouble(member);
      return network.slow(cluster_->process(member), static_cast<std::uint32_t>(step.amount));
    case Act::slow_host:
      for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank)
        if (cluster_->host({rank}) == one[0]) oracle_.trouble({rank});
      return network.slow(one[0], static_cast<std::uint32_t>(step.amount));
    case Act::cut:
      if (one[0] == two[0]) return;
      oracle_.cut(member, other);
      return step.amount != 0 ? network.cut(one, two) : network.partition(one, two);
    case Act::heal:
      oracle_.healed();
      return network.heal();
    default:
      if (member == other) return;
      oracle_.trouble(member);
      oracle_.trouble(other);
      return network.break_connections(cluster_->process(member), cluster_->process(other));
  }
}

/// All that runs there ends; others are not told, as they are when a process ends alone.
void Player::lose_power(HostId host) {
  if (!dark_.insert(host.value).second) return;
  cluster_->network().crash(host);
  for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) {
    if (cluster_->host({rank}) != host) continue;
    oracle_.trouble({rank});
    oracle_.resumed({rank});
    cluster_->crash({rank});
    let_go({rank});
  }
}

void Player::give_power_back() {
  for (const std::uint32_t host : std::exchange(dark_, {})) cluster_->network().restart(HostId{host});
}

void Player::disk_fault(const Step& step) {
  const MemberId member{step.member};
  if (step.act != Act::disk_mend) oracle_.disk_trouble(member, step.act);
  for (const auto& disk : cluster_->disks(member)) {
    switch (step.act) {
      case Act::disk_slow:
        disk->slow(static_cast<std::uint32_t>(step.amount));
        break;
      case Act::disk_fail:
        disk->set_fault([this, step](const DiskOperation& operation) -> std::optional<Code> {
          const unsigned kind = operation.action == DiskAction::read ? 1 : 2;
          if ((step.other & kind) == 0 || !random_.one_in(step.amount)) return std::nullopt;
          return Code::system;
        });
        break;
      case Act::disk_full:
        disk->set_capacity(0);
        break;
      case Act::disk_damage:
        disk->damage();
        break;
      default:
        disk->slow(1);
        disk->set_fault(nullptr);
        disk->set_capacity(capacity_of(scenario_));
    }
  }
}

/// What somebody holds can be read, whatever has happened before.
void Player::get_everything() {
  constexpr Duration kEnough = 3s;
  for (std::size_t i = 0, more = 1; more > 0; ++i) {
    more = 0;
    for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) {
      const auto& held = hands_[rank].held;
      if (!runs({rank}) || held.size() <= i) continue;
      ++more;
      const std::uint32_t object = std::next(held.begin(), static_cast<std::ptrdiff_t>(i))->first;
      const auto [handle, since] = held.at(object);
      Operation operation = begin({rank}, Act::get, object, 0, kEnough);
      operation.held_since = since;
      operation.what += ", at the end";
      run(Act::get, operation, app({rank}).get(handle.entry, {}, GetOptions::Missing::wait, kEnough),
          [this, object, kept = handle](const Operation& ended, const Result<Pin>& pin) {
            oracle_.got(ended, object, pin, {});
          });
    }
    const Deadline last = Deadline::after(timeline().clock(), 2 * kEnough);
    do timeline().run_for(5ms);
    while (!under_way_.empty() && !last.passed(timeline().clock()));
  }
}

/// Everything is mended and everybody lets go of everything: then nothing is left.
void Player::settle() {
  fault({0, 0, Act::heal});
  fault({0, 0, Act::power_back});
  for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) {
    fault({0, rank, Act::resume});
    cluster_->network().slow(cluster_->process({rank}), 1);
    cluster_->network().slow(cluster_->host({rank}), 1);
    cluster_->network().limit_queues(cluster_->process({rank}), options_of(scenario_).network.max_waiting);
    disk_fault({0, rank, Act::disk_mend});
  }
  const bool calm = std::ranges::none_of(scenario_.steps, is_trouble, &Step::act);
  timeline().run_for(calm ? kCalmSettle : kSettle);
  check_kept();
  for (const auto& [number, operation] : under_way_) oracle_.never_ended(operation);
  oracle_.all_is_well();
  get_everything();
  for (const auto& [number, operation] : under_way_) oracle_.never_ended(operation);
  is_over_ = true;
  for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) {
    for (auto& [object, draft] : hands_[rank].drafts)
      if (runs({rank})) app({rank}).abandon(std::move(draft));
    let_go({rank});
  }
  timeline().run_for(kLetGo + std::chrono::milliseconds(scenario_.token_ms));
  constexpr std::uint32_t kMostNames = 64;
  // Names keep their objects when nothing else does, and room is needed.
  for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) (void)oracle_.evict_all({rank});
  oracle_.check_names(kMostNames);
  bool erases = false;  // one that the others hear
  for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) {
    const bool is_stranger = cluster_->lives({rank}) > 1;  // heard by itself alone
    if (!runs({rank}) || (erases && !is_stranger)) continue;
    erases = erases || !is_stranger;
    for (std::uint32_t name = 1; name <= kMostNames; ++name)
      spawn(app({rank}).erase(key_of_name(name), 10s), [](const Status&) {});
    nudge({rank});
  }
  timeline().run_for(kErase);
  for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) (void)oracle_.evict_all({rank});
  timeline().run_for(1s);
  for (std::uint32_t rank = 0; rank < cluster_->size(); ++rank) oracle_.check_empty({rank});
}

}  // namespace holdfast::sim::test
