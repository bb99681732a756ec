// Asking a running job about an object, from outside.
#pragma once

#include <string>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/object_id.h"

namespace holdfast {

/// The same text as Store::why, for any process of the same user on the owner's host. Errors: owner_lost (no
/// member of this user on this host has made such an object, or it has ended), timed_out, system.
Result<std::string> why(const ObjectId& id, Duration timeout);

}  // namespace holdfast
