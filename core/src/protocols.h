// What a member does to get, name and erase objects, wherever they are: coroutines on a channel, over the
// pieces beneath (get_local, get_remote, requests). Parameters that outlive the first suspension are passed
// by value.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "holdfast/base/task.h"
#include "holdfast/pin.h"
#include "src/channel.h"
#include "src/get_local.h"
#include "src/job.h"

namespace holdfast {

/// What is to be got: an object as a reference remembers it, or a name.
using Target = std::variant<Entry, Key>;

/// The entry a name stands for, from its home; waits for it to be published where that is allowed.
/// Errors: not_found (where it is not), timed_out (also when called off), owner_lost.
Task<Result<Entry>> resolve(Job& job, Channel& channel, Key name, Waiting waiting, Deadline deadline);

/// An object's entry as its owner's catalogue has it now; waits for a promised object to be sealed where that
/// is allowed; `place` is let go of when nothing but that is left to do. Errors: not_found, timed_out (also
/// when called off), owner_lost, full (more waiters than the owner keeps).
Task<Result<Entry>> find_object(Job& job, Channel& channel, MemberId owner, ObjectId id, Waiting waiting,
                                Deadline deadline, std::shared_ptr<void> place = nullptr);

/// Pins an object, or a part of it. Errors: as Store::get.
Task<Result<Pin>> get_pin(Job& job, Channel& channel, Target target, Want want, Deadline deadline);

/// Copies an object, or a part of it, into a buffer; gives how many bytes. Errors: as Store::get_into.
Task<Result<std::uint64_t>> get_copy(Job& job, Channel& channel, Entry entry, Want want,
                                     std::span<std::byte> into, Deadline deadline);

/// Many from one member; results in the order of `entries`. By fabric, neighbours in memory come with one
/// read.
Task<std::vector<Result<Pin>>> get_batch(Job& job, Channel& channel, MemberId owner,
                                         std::vector<Entry> entries, Want want, Deadline deadline);

/// Asks the owner to bring objects back from disk, those of them that are there; no answer.
Task<void> prefetch(Job& job, Channel& channel, MemberId owner, std::vector<ObjectId> ids);

/// Asks a name's home to enter it, and to take it back where no answer came. Errors: exists, full, timed_out,
/// owner_lost.
Task<Status> publish_name(Job& job, Channel& channel, Key name, Entry entry, Deadline deadline);

/// After these errors of it the name may be taken all the same, and is to be withdrawn (Agent::withdraw).
bool may_be_published(const Error& error) noexcept;

/// Asks a name's home to take it out, if it stands for `id` (any, if zero). Errors: not_found, timed_out,
/// owner_lost.
Task<Result<Entry>> unpublish_name(Job& job, Channel& channel, Key name, ObjectId id, Deadline deadline);

/// Asks the owner, another member, to count this process among the holders of an object (token number 0:
/// without one). A hold that got no answer is taken back. Errors: not_found, expired, invalid (its layout is
/// another one), timed_out, owner_lost.
Task<Result<std::shared_ptr<Reference>>> hold_object(Job& job, Channel& channel, Entry entry, TokenId token,
                                                     Deadline deadline);

/// What an object declares to be part of it. Errors: not_found, timed_out, owner_lost.
Task<Result<std::vector<Entry>>> parts_of_object(Job& job, Channel& channel, MemberId owner, ObjectId id,
                                                 Deadline deadline);

/// Asks the owner to erase an object, then its name's home to forget it. Errors: not_found, timed_out,
/// owner_lost.
Task<Status> erase_object(Job& job, Channel& channel, MemberId owner, ObjectId id, Deadline deadline);

/// Tells rank 0 that this member has arrived at its barrier of that number, and waits until all have. May be
/// repeated with the same number after it was given up. Errors: timed_out, owner_lost (rank 0's).
Task<Status> pass_barrier(Job& job, Channel& channel, std::uint64_t number, Deadline deadline);

/// Replaces a fabric's or channel's word for a dead or silent peer by one that names the member.
tl::unexpected<Error> name_peer(const Job& job, MemberId member, Error error, std::string_view operation);

}  // namespace holdfast
