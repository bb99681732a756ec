#include "src/attachments.h"

#include <fmt/format.h>

#include "holdfast/base/log.h"
#include "src/job.h"

namespace holdfast {
namespace {

/// What came of an attempt, for all who ask from now on. By whatever thread tells.
Status take_in(Job& job, Neighbours& neighbours, MemberId member, Result<std::unique_ptr<View>> attached) {
  if (attached) {
    View* const fresh = attached->get();
    if (job.memory->add_view(std::move(*attached)) == fresh) neighbours.watch(fresh);
    return {};
  }
  if (attached.error().code == Code::owner_lost) return job.owner_lost(member, "Store::get");
  if (attached.error().code == Code::timed_out) return tl::unexpected(std::move(attached).error());
  // Never silent: a slower way is taken, and said once.
  if (!job.unmappable[member.value].exchange(true))
    log(LogLevel::warning, fmt::format("the memory of {} on this host is read by fabric: {}",
                                       job.peers->describe(member), attached.error().message()));
  return {};
}

}  // namespace

std::shared_ptr<Attachments::Attempt> Attachments::join(Job& job, MemberId member) {
  std::shared_ptr<Attempt> attempt;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Attempt>& present = under_way_[member];
    if (present) return present;
    attempt = present = std::make_shared<Attempt>();
  }
  // Its thread may tell when the job has begun to let go of it.
  Neighbours& neighbours = *job.neighbours;
  neighbours.attach(member, job.peers->card(member),
                    [this, &job, &neighbours, member, attempt](Result<std::unique_ptr<View>> view) {
                      ended(*attempt, member, take_in(job, neighbours, member, std::move(view)));
                    });
  return attempt;
}

void Attachments::ended(Attempt& attempt, MemberId member, Status outcome) {
  const std::lock_guard lock(mutex_);
  attempt.outcome = std::move(outcome);
  under_way_.erase(member);
  // With the lock: who does not wait any more takes it before his bell goes.
  for (Channel::Bell* const bell : attempt.waiting) bell->ring();
  attempt.waiting.clear();
}

Task<Status> Attachments::attach(Job& job, Channel& channel, MemberId member, Deadline deadline) {
  const std::shared_ptr<Attempt> attempt = join(job, member);
  Channel::Bell bell(channel);
  bool waits = false;
  {
    const std::lock_guard lock(mutex_);
    waits = !attempt->outcome;
    if (waits) attempt->waiting.push_back(&bell);
  }
  if (waits) co_await channel.listen(bell, deadline);
  const std::lock_guard lock(mutex_);
  std::erase(attempt->waiting, &bell);
  if (attempt->outcome) co_return *attempt->outcome;
  if (channel.closing()) co_return channel.closed_status();
  co_return fail(
      Code::timed_out, "Store::get",
      fmt::format("{} on this host did not hand out its memory before the deadline; is it stopped?",
                  job.peers->describe(member)));
}

}  // namespace holdfast
