#include "src/references.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "src/mutation.h"

namespace holdfast {

Reference::~Reference() { table_->dropped(*this); }

void References::set_member(std::weak_ptr<Member> member) {
  const std::lock_guard lock(mutex_);
  member_ = std::move(member);
}

std::shared_ptr<Member> References::member() const {
  const std::lock_guard lock(mutex_);
  return member_.lock();
}

void References::set_wake(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
  woken_ = false;
}

void References::close() {
  decltype(pending_) guards;  // go after the lock is given back
  const std::lock_guard lock(mutex_);
  closed_ = true;
  guards.swap(pending_);
}

void References::something_to_report() {
  if (!wake_ || std::exchange(woken_, true)) return;
  wake_();
}

std::shared_ptr<Reference> References::share(const Entry& entry, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto at = borrowed_.find(entry.id);
  // A drop under way ends what is held now; one that only waits to be reported is taken back.
  if (at == borrowed_.end() || at->second.reporting || at->second.layout != entry.layout) return nullptr;
  const bool in_doubt = !at->second.sure || now - heard_[entry.owner] > sure_;
  if (in_doubt) return nullptr;
  ++at->second.references;
  return std::make_shared<Reference>(shared_from_this(), entry.id, entry.owner);
}

std::uint64_t References::ask(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  ++asked_for_[id];
  return ++last_hold_;
}

/// What was dropped meanwhile can be reported when there is no other.
void References::answered(const ObjectId& id) {
  const auto at = asked_for_.find(id);
  if (at == asked_for_.end() || --at->second > 0) return;
  asked_for_.erase(at);
  if (const auto borrowed = borrowed_.find(id);
      borrowed != borrowed_.end() && borrowed->second.references == 0)
    something_to_report();
}

void References::refused(const ObjectId& id) {
  const std::lock_guard lock(mutex_);
  answered(id);
}

/// After a silence, holds that were granted before it may be gone, whatever is heard from now on.
void References::heard_from(MemberId owner, TimePoint when) {
  TimePoint& last = heard_[owner];
  if (when - last > sure_)
    for (auto& [id, borrowed] : borrowed_)
      if (borrowed.owner == owner) borrowed.sure = false;
  last = std::max(last, when);
}

void References::asked_for_us(MemberId owner, TimePoint heard) {
  const std::lock_guard lock(mutex_);
  if (heard_.contains(owner)) heard_from(owner, heard);
}

std::shared_ptr<Reference> References::granted(const Entry& entry, std::uint64_t number, TimePoint asked) {
  const std::lock_guard lock(mutex_);
  heard_from(entry.owner, asked);
  Borrowed& borrowed = borrowed_[entry.id];
  ++borrowed.references;
  borrowed.number = std::max(borrowed.number, number);
  borrowed.reporting = false;
  borrowed.sure = true;
  borrowed.owner = entry.owner;
  borrowed.layout = entry.layout;
  answered(entry.id);
  return std::make_shared<Reference>(shared_from_this(), entry.id, entry.owner);
}

void References::not_answered(const ObjectId& id, MemberId owner, std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  answered(id);
  if (closed_) return;
  pending_[owner].undone.push_back({id, number});
  something_to_report();
}

TokenId References::make_token(std::shared_ptr<Reference> reference) {
  const std::lock_guard lock(mutex_);
  Pending& pending = pending_[reference->owner()];
  const std::uint64_t number = ++pending.last_token;
  const ObjectId id = reference->id();
  if (HOLDFAST_MUTATION(forget_guard_of_token)) reference.reset();
  pending.tokens.push_back({id, number, std::move(reference)});
  something_to_report();
  return {self_, number};
}

void References::nudge() {
  const std::lock_guard lock(mutex_);
  something_to_report();
}

void References::dropped(const Reference& reference) noexcept {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  if (reference.owner() == self_) {
    own_dropped_.push_back(reference.id());
    own_dropped_some_.store(true, std::memory_order_relaxed);
    return something_to_report();
  }
  const auto at = borrowed_.find(reference.id());
  if (at == borrowed_.end() || --at->second.references > 0) return;
  pending_[at->second.owner].dropped.push_back(reference.id());
  something_to_report();
}

void References::take_own(std::vector<ObjectId>& dropped) {
  if (!has_own()) return;
  const std::lock_guard lock(mutex_);
  dropped.swap(own_dropped_);
  own_dropped_.clear();
  own_dropped_some_.store(false, std::memory_order_relaxed);
}

std::vector<ReferenceReport> References::take_reports(std::size_t most, UnderWay under_way) {
  std::vector<ReferenceReport> reports;
  const std::lock_guard lock(mutex_);
  woken_ = false;
  for (auto& [owner, pending] : pending_) {
    if (pending.under_way && under_way == UnderWay::wait) continue;
    ReferenceReport report;
    report.owner = owner;
    // Told again before the rest: an owner that hears of later ones first would take these for ended.
    if (under_way == UnderWay::follow) report.tokens = std::exchange(pending.told, {});
    const std::size_t new_tokens = std::min(most - report.tokens.size(), pending.tokens.size());
    const auto tokens_end = pending.tokens.begin() + static_cast<std::ptrdiff_t>(new_tokens);
    std::move(pending.tokens.begin(), tokens_end, std::back_inserter(report.tokens));
    pending.tokens.erase(pending.tokens.begin(), tokens_end);
    const std::size_t tokens = report.tokens.size();
    const std::size_t undone = std::min(most - tokens, pending.undone.size());
    const auto undone_end = pending.undone.begin() + static_cast<std::ptrdiff_t>(undone);
    report.undone.assign(pending.undone.begin(), undone_end);
    pending.undone.erase(pending.undone.begin(), undone_end);
    std::size_t looked = 0;
    std::vector<ObjectId> later;
    for (; looked < pending.dropped.size() && tokens + undone + report.drops.size() < most; ++looked) {
      const auto at = borrowed_.find(pending.dropped[looked]);
      if (at == borrowed_.end() || at->second.references > 0 || at->second.reporting) continue;
      if (asked_for_.contains(at->first)) {
        later.push_back(at->first);
        continue;
      }
      at->second.reporting = true;
      report.drops.push_back({at->first, at->second.number});
    }
    pending.dropped.erase(pending.dropped.begin(),
                          pending.dropped.begin() + static_cast<std::ptrdiff_t>(looked));
    pending.dropped.insert(pending.dropped.end(), later.begin(), later.end());
    if (report.tokens.empty() && report.drops.empty() && report.undone.empty()) continue;
    pending.under_way = true;
    if (under_way == UnderWay::wait) pending.told = report.tokens;
    reports.push_back(std::move(report));
  }
  return reports;
}

void References::reported(ReferenceReport report, Outcome outcome) {
  // Guards go after the lock is given back: they may be the last of their kind.
  std::vector<ReferenceReport::Token> guards;
  const std::lock_guard lock(mutex_);
  Pending& pending = pending_[report.owner];
  pending.under_way = false;
  guards = std::exchange(pending.told, {});
  if (outcome == Outcome::unheard) {
    pending.tokens.insert(pending.tokens.begin(), std::make_move_iterator(report.tokens.begin()),
                          std::make_move_iterator(report.tokens.end()));
    pending.undone.insert(pending.undone.end(), report.undone.begin(), report.undone.end());
  } else {
    std::ranges::move(report.tokens, std::back_inserter(guards));
  }
  for (const ReferenceReport::Drop& drop : report.drops) {
    const auto at = borrowed_.find(drop.id);
    // Held again by now, under a newer number: what was reported was the old one.
    if (at == borrowed_.end() || !at->second.reporting || at->second.number != drop.number) continue;
    if (outcome != Outcome::unheard) {
      borrowed_.erase(at);
      continue;
    }
    at->second.reporting = false;
    pending.dropped.push_back(drop.id);
  }
  if (!pending.tokens.empty() || !pending.dropped.empty() || !pending.undone.empty()) something_to_report();
}

std::vector<MemberId> References::owners() const {
  std::vector<MemberId> owners;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, borrowed] : borrowed_) owners.push_back(borrowed.owner);
  std::ranges::sort(owners);
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  return owners;
}

std::size_t References::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_for_.size();
}

}  // namespace holdfast
