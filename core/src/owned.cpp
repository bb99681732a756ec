#include "src/owned.h"

#include <fmt/format.h>

#include "src/block.h"
#include "src/mutation.h"

namespace holdfast {

Result<Entry> enter(Job& job, Agent& agent, DraftState& draft) {
  const MemberId self = job.peers->self();
  write_header(draft.block.address, {draft.id, job.peers->card(self).incarnation, draft.layout},
               job.holdings->new_generation());
  auto sealed = job.holdings->seal(draft.id, draft.layout, draft.block, std::move(draft.parts),
                                   Holdings::ItsEntry::reserved);
  if (!sealed) {
    abandon(job, agent, draft);
    return tl::unexpected(std::move(sealed).error());
  }
  draft.sealed = true;
  if (*sealed) agent.tell(std::move(**sealed));
  job.counters.add(Count::puts);
  job.counters.add(Count::put_bytes, draft.layout.size);
  return Entry{draft.id, draft.block.location, draft.layout, self};
}

void abandon(Job& job, Agent& agent, DraftState& draft) {
  spoil_header(draft.block.address);
  job.holdings->give_entry_back();
  if (!draft.promised) return;
  if (auto notice = job.holdings->break_promise(draft.id)) agent.tell(std::move(*notice));
}

namespace {

Task<Status> publish(Job& job, Agent& agent, Channel& channel, Key name, Entry entry, Deadline deadline) {
  const MemberId home = job.peers->home_of(name);
  const bool at_home = home == job.peers->self();
  // Noted first, so that an erase that comes at once takes the name away, too.
  if (!job.holdings->note_name(entry.id, name, home))
    co_return fail(Code::not_found, "Store::put", "the object was erased before it had its name");
  if (at_home) {
    HOLDFAST_CO_TRY(auto notice, job.holdings->publish(name, entry));
    if (notice) agent.tell(std::move(*notice));
  } else if (Status published = co_await publish_name(job, channel, name, entry, deadline); !published) {
    if (may_be_published(published.error()) && !HOLDFAST_MUTATION(no_withdrawal))
      agent.withdraw(name, entry.id);
    co_return published;
  }
  // Who erased it meanwhile, as is anybody's right who has found it, may have looked for the name too early.
  const auto kept = job.holdings->kept_by_name(entry.id);
  if (kept && *kept) co_return Status{};
  if (at_home)
    (void)job.holdings->unpublish(name, entry.id);
  else
    agent.withdraw(name, entry.id);
  if (!kept) co_return Status{};
  co_return fail(Code::owner_lost, "Store::put",
                 fmt::format("{}, the name's home, could not be reached for a while and was given up",
                             job.peers->describe(home)));
}

}  // namespace

Task<Status> give_name(Job& job, Agent& agent, Channel& channel, Key name, Entry entry, Deadline deadline) {
  Status published = co_await publish(job, agent, channel, name, entry, deadline);
  if (published) co_return published;
  const auto erased = job.holdings->erase(entry.id);
  if (erased && erased->awaiting_unpin) agent.collect_later();
  co_return published;
}

Result<std::optional<Key>> erase_own(Job& job, Agent& agent, const ObjectId& id) {
  HOLDFAST_TRY(const Holdings::Erased erased, job.holdings->erase(id));
  if (erased.awaiting_unpin) agent.collect_later();
  if (!erased.name || job.peers->home_of(*erased.name) != job.peers->self()) return erased.name;
  (void)job.holdings->unpublish(*erased.name, id);  // not found: it is not there yet, or any more
  return std::nullopt;
}

Task<Status> forget_name(Job& job, Agent& agent, Channel& channel, Key name, ObjectId id, Deadline deadline) {
  Result<Entry> gone = Entry{};
  if (job.peers->home_of(name) == job.peers->self())
    gone = job.holdings->unpublish(name, id);
  else
    gone = co_await unpublish_name(job, channel, name, id, deadline);
  if (!gone && may_be_published(gone.error())) agent.withdraw(name, id);
  if (gone || gone.error().code == Code::not_found) co_return Status{};
  co_return tl::unexpected(std::move(gone).error());
}

Task<Status> erase(Job& job, Agent& agent, Channel& channel, Entry entry, Deadline deadline) {
  if (entry.owner != job.peers->self()) {
    Status erased = co_await erase_object(job, channel, entry.owner, entry.id, deadline);
    co_return erased;
  }
  HOLDFAST_CO_TRY(const std::optional<Key> name, erase_own(job, agent, entry.id));
  if (!name) co_return Status{};
  Status forgotten = co_await forget_name(job, agent, channel, *name, entry.id, deadline);
  co_return forgotten;
}

Task<Status> erase(Job& job, Agent& agent, Channel& channel, Key name, Deadline deadline) {
  const auto found = co_await resolve(job, channel, name, {}, deadline);
  if (!found) co_return fail(found.error().code, "Store::erase", found.error().detail);
  const Entry entry = *found;
  // The object first: an object that is kept by a name which is gone could not be erased any more, a name
  // without its object can.
  Status erased = co_await erase(job, agent, channel, entry, deadline);
  if (erased || (erased.error().code != Code::not_found && erased.error().code != Code::owner_lost))
    co_return erased;
  Status forgotten = co_await forget_name(job, agent, channel, name, entry.id, deadline);
  const bool goes =
      forgotten || may_be_published(forgotten.error());  // then its home is told until it has heard
  if (goes && erased.error().code == Code::owner_lost) agent.withdraw(entry.owner, entry.id);
  co_return forgotten;
}

Status check_layout(const Job& job, const ObjectId& id, const BlockLayout& told) {
  const auto known = job.holdings->look(Key::of(id));
  if (!known || known->layout == told) return {};
  return fail(Code::invalid, "Store::redeem",
              fmt::format("object {} has {} bytes, and is not what this reference says, {} bytes; the token "
                          "was altered: pass on the whole text that ObjectRef::token gave",
                          id.to_hex(), known->layout.size, told.size));
}

Result<std::shared_ptr<Reference>> hold_here(Job& job, const Entry& entry, const TokenId& token) {
  if (entry.owner != job.peers->self()) return job.references->share(entry, job.clock.now());
  HOLDFAST_DO(check_layout(job, entry.id, entry.layout));
  HOLDFAST_DO(job.holdings->hold_own(entry.id, token));
  return job.references->make_own(entry.id);
}

}  // namespace holdfast
