#include "src/reporter.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "src/insist.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

// How long drops and tokens are collected for one message. Nothing waits for them but memory.
constexpr Duration kReportInterval = std::chrono::milliseconds(5);
// The same for what was got, which moves nothing but the order of eviction.
constexpr Duration kHintInterval = std::chrono::milliseconds(100);
// How long a probe may take.
constexpr Duration kReportTimeout = std::chrono::seconds(10);
// How often members are looked after: each that holds something here, and of the homes of names and of those
// who wait here one after the other. A send to a process that died fails at once.
constexpr Duration kProbeInterval = std::chrono::milliseconds(500);
// The most that counts as silence between two looks: a member that had no core to look with must not take its
// own absence for that of others.
constexpr Duration kMostBetweenLooks = 2 * kProbeInterval;
// Fewer in a row may have found a broken connection only.
constexpr unsigned kProbesThatFail = 3;

}  // namespace

Reporter::Reporter(Job& job, Channel& channel, Withdrawals& withdrawals)
    : job_(job), channel_(channel), withdrawals_(withdrawals) {
  job_.references->set_wake([this] {
    something_.store(true, std::memory_order_release);
    channel_.wake();
  });
  if (job_.peers->any([](const Card& card) { return card.spills; }))
    job_.accesses.enable([this] {
      got_some_.store(true, std::memory_order_release);
      channel_.wake();
    });
}

Reporter::~Reporter() { job_.accesses.enable(nullptr); }

Deadline Reporter::turn() {
  const TimePoint now = job_.clock.now();
  const auto due = [now](const std::optional<TimePoint>& at) { return at && *at <= now; };
  if (job_.holdings->take_shortage()) {
    hurry();
    ask_for_drops();
  }
  if (!report_at_ && something_.load(std::memory_order_acquire)) report_at_ = now + kReportInterval;
  if (due(report_at_)) {
    report_at_.reset();
    something_.store(false, std::memory_order_release);
    send_reports();
    expiry_at_ = job_.holdings->tidy();
  }
  if (due(expiry_at_)) expiry_at_ = job_.holdings->tidy();
  if (!hints_at_ && got_some_.exchange(false, std::memory_order_acq_rel)) hints_at_ = now + kHintInterval;
  if (due(hints_at_)) {
    hints_at_.reset();
    send_hints();
  }
  if (job_.holdings->take_news()) {
    expiry_at_ = job_.holdings->next_expiry();
    if (!probe_at_) probe_at_ = now + kProbeInterval;
  }
  if (due(probe_at_)) {
    probe_at_.reset();
    if (look_after_others()) probe_at_ = now + kProbeInterval;
  }
  Deadline next = Deadline::never();
  for (const auto& at : {report_at_, probe_at_, expiry_at_, hints_at_})
    if (at) next = std::min(next, Deadline::at(*at));
  return next;
}

void Reporter::send_reports() {
  for (ReferenceReport& report : job_.references->take_reports(kReportItems)) {
    job_.counters.add(Count::reference_messages);
    WireWriter body;
    put_report(body, report);
    const MemberId owner = report.owner;
    spawn(send_report(owner, body.take()),
          [this, report = std::move(report)](References::Outcome outcome) mutable {
            job_.references->reported(std::move(report), outcome);
          });
  }
}

/// A drop that is not told keeps an object for ever.
Task<References::Outcome> Reporter::send_report(MemberId owner, std::vector<std::byte> body) {
  return insist(job_, channel_, owner, MessageType::report, std::move(body),
                HOLDFAST_MUTATION(lose_drops) ? 1 : kMostTries);
}

/// Tells owners what was got. One that is not told in time evicts by what it knows: nobody asks whether it
/// came.
void Reporter::send_hints() {
  for (const auto& [owner, objects] : job_.accesses.take()) {
    if (!job_.peers->card(owner).spills) continue;
    if (owner == job_.peers->self()) {
      job_.holdings->used(objects);
      continue;
    }
    const std::span<const std::uint64_t> all = objects;
    for (std::size_t at = 0; at < all.size(); at += kUsedItems) {
      const auto some = all.subspan(at, std::min(kUsedItems, all.size() - at));
      WireWriter body;
      body.put(static_cast<std::uint32_t>(some.size()));
      for (const std::uint64_t object : some) body.put(object);
      channel_.tell(job_.peers->receiver(owner), MessageType::used, body.take());
    }
  }
}

/// This member is short of memory: what others have dropped of it is not to wait for the rest of a batch.
void Reporter::ask_for_drops() {
  for (const MemberId member : job_.holdings->holding_members()) {
    job_.counters.add(Count::reference_messages);
    channel_.tell(job_.peers->receiver(member), MessageType::hurry, {});
  }
}

bool Reporter::look_after_others() {
  job_.holdings->forget_late_waiters();
  std::set<MemberId> members;
  for (const MemberId member : job_.holdings->holding_members()) members.insert(member);
  for (const auto& [member, unheard] : unheard_) members.insert(member);
  if (const auto next = job_.holdings->next_concerned(last_concerned_)) {
    last_concerned_ = *next;
    members.insert(*next);
  }
  for (const MemberId member : members) probe(member);
  return !members.empty();
}

void Reporter::probe(MemberId member) {
  const TimePoint now = job_.clock.now();
  const auto [at, is_first] = unheard_.try_emplace(member, Unheard{.probed_at = now});
  Unheard& unheard = at->second;
  if (!is_first) unheard.silent += std::min(now - unheard.probed_at, kMostBetweenLooks);
  unheard.probed_at = now;
  // It may live, and go on: then it is not to wait in vain for what it waits for here.
  if (unheard.silent >= longest_silence(job_.options.lifetime))
    return give_up(member, Holdings::Waiters::stay);
  if (!probing_.insert(member).second) return;
  job_.counters.add(Count::reference_messages);
  WireWriter body;
  const Duration failing = unheard.failed ? now - *unheard.failed : Duration::zero();
  body.put(std::int64_t{std::max(unheard.silent, failing).count()});
  spawn(
      channel_.probe(job_.peers->receiver(member), Deadline::after(job_.clock, kReportTimeout), body.take()),
      [this, member](const Status& alive) { probed(member, alive); });
}

void Reporter::probed(MemberId member, const Status& alive) {
  probing_.erase(member);
  // It has left, or is on its way for long: whether it comes is another matter.
  if (alive || alive.error().code == Code::timed_out) {
    if (const auto at = unheard_.find(member); at != unheard_.end()) at->second.failed.reset();
    return;
  }
  // This member's own trouble: nobody was asked.
  if (alive.error().code != Code::owner_lost) {
    unheard_.erase(member);
    return;
  }
  const TimePoint now = job_.clock.now();
  Unheard& unheard = unheard_.try_emplace(member, Unheard{.probed_at = now}).first->second;
  if (!unheard.failed) unheard.failures = 0;
  unheard.failed = unheard.failed.value_or(now);
  ++unheard.failures;
  const bool for_long = now - *unheard.failed >= job_.options.lifetime.member_timeout;
  const bool dead = for_long && unheard.failures >= kProbesThatFail;
  if (dead || channel_.is_replaced(job_.peers->receiver(member))) give_up(member, Holdings::Waiters::go);
}

void Reporter::give_up(MemberId member, Holdings::Waiters waiters) {
  unheard_.erase(member);
  // It may only have seemed to be dead: then it is to forget the names, as their objects do not keep them.
  for (const auto& [name, id] : job_.holdings->member_lost(member, *job_.peers, waiters))
    if (!HOLDFAST_MUTATION(keep_names_of_the_silent))
      withdrawals_.add_name(name, id, Withdrawals::Bound::all);
}

void Reporter::say_farewell() {
  // Tokens that were made just now keep their objects from here on, so they are told first. Nobody waits for
  // an answer: this follows reports that are under way, and is followed by the farewell, on the same
  // connections.
  for (;;) {
    std::vector<ReferenceReport> reports =
        job_.references->take_reports(kReportItems, References::UnderWay::follow);
    if (reports.empty()) break;
    for (const ReferenceReport& report : reports) {
      job_.counters.add(Count::reference_messages);
      WireWriter body;
      put_report(body, report);
      channel_.tell(job_.peers->receiver(report.owner), MessageType::report, body.take());
    }
  }
  for (const MemberId owner : job_.references->owners())
    channel_.tell(job_.peers->receiver(owner), MessageType::leave, {});
}

}  // namespace holdfast
