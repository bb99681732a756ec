#include "src/reporter.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace holdfast {
namespace {

// How long drops and tokens are collected for one message. Nothing waits for them but memory.
constexpr Duration kReportInterval = std::chrono::milliseconds(5);
// How long an owner may take to answer; then he is told again.
constexpr Duration kReportTimeout = std::chrono::seconds(10);
// How often members that hold something here are looked after. A process that died is noticed by the first
// send.
constexpr Duration kProbeInterval = std::chrono::milliseconds(500);

}  // namespace

Reporter::Reporter(Job& job, Channel& channel) : job_(job), channel_(channel) {
  job_.references->set_wake([this] {
    something_.store(true, std::memory_order_release);
    channel_.wake();
  });
}

Deadline Reporter::turn() {
  const TimePoint now = job_.clock.now();
  const auto due = [now](const std::optional<TimePoint>& at) { return at && *at <= now; };
  if (!report_at_ && something_.load(std::memory_order_acquire)) report_at_ = now + kReportInterval;
  if (due(report_at_)) {
    report_at_.reset();
    something_.store(false, std::memory_order_release);
    send_reports();
    expiry_at_ = job_.holdings->tidy();
  }
  if (due(expiry_at_)) expiry_at_ = job_.holdings->tidy();
  if (job_.holdings->take_news()) {
    expiry_at_ = job_.holdings->next_expiry();
    if (!probe_at_) probe_at_ = now + kProbeInterval;
  }
  if (due(probe_at_)) {
    probe_at_.reset();
    if (probe_holders()) probe_at_ = now + kProbeInterval;
  }
  Deadline next = Deadline::never();
  for (const auto& at : {report_at_, probe_at_, expiry_at_})
    if (at) next = std::min(next, Deadline::at(*at));
  return next;
}

void Reporter::send_reports() {
  for (ReferenceReport& report : job_.references->take_reports(kReportItems)) {
    job_.counters.add(Count::reference_messages);
    WireWriter body;
    put_report(body, report);
    const MemberId owner = report.owner;
    spawn(send_report(owner, body.take()), [this, report = std::move(report)](const Status& heard) mutable {
      using Outcome = References::Outcome;
      const Outcome outcome = heard                                   ? Outcome::heard
                              : heard.error().code == Code::timed_out ? Outcome::unheard
                                                                      : Outcome::lost;
      job_.references->reported(std::move(report), outcome);
    });
  }
}

Task<Status> Reporter::send_report(MemberId owner, std::vector<std::byte> body) {
  auto reply = co_await channel_.call(job_.peers->receiver(owner), MessageType::report, std::move(body),
                                      Deadline::after(job_.clock, kReportTimeout));
  co_return reply ? Status() : tl::unexpected(std::move(reply).error());
}

bool Reporter::probe_holders() {
  const std::vector<MemberId> members = job_.holdings->holding_members();
  for (const MemberId member : members) {
    if (!probing_.insert(member).second) continue;
    job_.counters.add(Count::reference_messages);
    const Deadline deadline = Deadline::after(job_.clock, kReportTimeout);
    spawn(channel_.probe(job_.peers->receiver(member), deadline), [this, member](const Status& alive) {
      probing_.erase(member);
      if (!alive && alive.error().code == Code::owner_lost) job_.holdings->member_lost(member);
    });
  }
  return !members.empty();
}

void Reporter::say_farewell() {
  for (const MemberId owner : job_.references->owners())
    channel_.tell(job_.peers->receiver(owner), MessageType::leave, {});
}

}  // namespace holdfast
