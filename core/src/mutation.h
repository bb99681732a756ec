// Deliberate mistakes, to show that the simulator's tests find them: HOLDFAST_MUTATION(name) is the constant
// false, except in the copy of the library that those tests build for themselves.
#pragma once

#ifdef HOLDFAST_MUTATIONS

#include <cstdint>
#include <string_view>

namespace holdfast {

enum class Mutation : std::uint8_t {
  none,
  skip_ledger_scan,            ///< blocks are freed under the pins of others
  keep_header_on_free,         ///< a freed block still describes itself
  skip_identity_check,         ///< whatever lies at the remembered place is taken for the object
  forget_guard_of_token,       ///< the maker does not keep an object until the owner has heard of its token
  ignore_token_expiry,         ///< tokens keep objects for ever
  apply_stale_drop,            ///< a drop ends a newer hold, too
  lose_drops,                  ///< drops that were not heard are not told again
  keep_holds_of_the_dead,      ///< a member's death drops nothing
  accept_another_incarnation,  ///< messages that were meant for an earlier life are handled
  keep_name_after_erase,       ///< erasing an object leaves its name
  forget_waiter,               ///< who waits for a name is not told
  no_second_look,              ///< a torn read is taken as it is
  no_hold_before_redeem,       ///< redeem returns without the owner's word
  ignore_deadline,             ///< a call without an answer waits for ever
  name_overwrites,             ///< a name that is taken is given to another object
  leak_unsealed_draft,         ///< the memory of a draft that was dropped does not come back
  kCount
};

extern thread_local Mutation active_mutation;
std::string_view to_string(Mutation mutation) noexcept;

}  // namespace holdfast

#define HOLDFAST_MUTATION(name) (::holdfast::active_mutation == ::holdfast::Mutation::name)
#else
#define HOLDFAST_MUTATION(name) false
#endif
