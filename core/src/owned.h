// What a member does when it puts, names, erases and holds: the steps at home, which need no answer, and the
// coroutines around them. For Member, whose threads wait for them, and for the simulator's Application, which
// awaits them.
#pragma once

#include <memory>
#include <optional>

#include "holdfast/base/task.h"
#include "src/agent.h"
#include "src/draft_state.h"
#include "src/protocols.h"

namespace holdfast {

/// Makes a draft whose payload and table are complete an object of this member, or abandons it. Errors: as
/// Holdings::seal.
Result<Entry> enter(Job& job, Agent& agent, DraftState& draft);

/// The draft becomes no object: who waits for it is told. Its memory goes with it.
void abandon(Job& job, Agent& agent, DraftState& draft);

/// Has an object of this member entered under a name, at whosever home that is. Without success the object
/// goes: whoever found it by a promised reference has had it, under the name nobody will. Errors: exists,
/// full, not_found (it was erased meanwhile), timed_out, owner_lost.
Task<Status> give_name(Job& job, Agent& agent, Channel& channel, Key name, Entry entry, Deadline deadline);

/// Erases an object of this member, and its name if that has its home here; gives the name if another home
/// is to forget it. Errors: not_found.
Result<std::optional<Key>> erase_own(Job& job, Agent& agent, const ObjectId& id);

/// A name goes, if it stands for `id`; also if it had gone. Its home is told until it has heard, also after
/// these errors: timed_out, owner_lost.
Task<Status> forget_name(Job& job, Agent& agent, Channel& channel, Key name, ObjectId id, Deadline deadline);

/// Erases an object and its name, wherever they are. Errors: not_found, timed_out, owner_lost.
Task<Status> erase(Job& job, Agent& agent, Channel& channel, Entry entry, Deadline deadline);
/// The same by its name.
Task<Status> erase(Job& job, Agent& agent, Channel& channel, Key name, Deadline deadline);

/// What is told of an object that is sealed must be true of it: a token may have been altered. Errors:
/// invalid.
Status check_layout(const Job& job, const ObjectId& id, const BlockLayout& told);

/// A reference of this process, if that needs no answer of another: to an object of its own, or to one it
/// holds already. Else null, for hold_object. Errors: not_found, expired, invalid.
Result<std::shared_ptr<Reference>> hold_here(Job& job, const Entry& entry, const TokenId& token);

}  // namespace holdfast
