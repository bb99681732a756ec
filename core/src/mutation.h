// Deliberate mistakes, to show that the simulator's tests find them: HOLDFAST_MUTATION(name) is the constant
// false, except in the copy of the library that those tests build for themselves.
#pragma once

#ifdef HOLDFAST_MUTATIONS

#include <cstdint>

namespace holdfast {

enum class Mutation : std::uint8_t {
  none,
  skip_ledger_scan,        ///< blocks are freed under pins
  keep_header_on_free,     ///< a freed block still describes itself
  skip_identity_check,     ///< whatever lies at the remembered place, and is as long, is taken for the object
  forget_guard_of_token,   ///< a token's maker keeps its object no longer than without the token
  ignore_token_expiry,     ///< tokens keep objects for ever
  apply_stale_drop,        ///< a drop ends newer holds, too
  lose_drops,              ///< what an owner could not be told is not told again
  keep_holds_of_the_dead,  ///< a member's death drops nothing
  keep_names_of_the_dead,  ///< nor does that of the home of its name free an object
  accept_another_incarnation,  ///< messages to and from other lives are handled
  keep_names_of_the_silent,    ///< a home that only seemed dead keeps names whose objects go
  no_withdrawal,               ///< a put that got no answer may leave its name
  keep_name_after_erase,       ///< erasing an object leaves its name
  forget_waiter,               ///< who waits is not told
  skip_generation_check,       ///< an unverified read does not ask whether the block is the same at its end
  no_second_look,              ///< the payload of a torn read is taken as it is
  no_hold_before_redeem,       ///< redeem does not ask the owner
  ignore_deadline,             ///< a call without an answer waits for ever
  name_overwrites,             ///< a name that is taken is given to another object
  leak_unsealed_draft,         ///< the memory of a draft that was dropped does not come back
  free_before_written,         ///< an object's block goes before its copy is on disk
  leave_under_pins,            ///< objects leave memory without a look for pins
  forget_restore_waiters,      ///< who waits for an object to come back is not told
  restored_before_read,        ///< an object is in memory again before its bytes are
  free_copy_on_disk,           ///< the only copy of an object that has left memory goes
  keep_dead_copies,            ///< copies of objects that have gone stay on disk
  stay_spoiled,                ///< an object that could not leave, as it was pinned, is none any more
  skip_disk_checksum,          ///< what comes back from disk is not compared with what was written
  unchecked_runs,              ///< what many objects were fetched with is taken for them
  lose_parts,                  ///< an object does not keep what it declares
};

/// The mistake that is made at present.
inline Mutation active_mutation = Mutation::none;

}  // namespace holdfast

#define HOLDFAST_MUTATION(name) (::holdfast::active_mutation == ::holdfast::Mutation::name)
#else
#define HOLDFAST_MUTATION(name) false
#endif
