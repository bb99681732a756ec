// Threads of the library's own: named, and out of the way of the program's signals.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "holdfast/base/result.h"

namespace holdfast {

/// Starts a thread that takes no signals (the program's own threads get them) and shows as `name` (at most 15
/// characters) in ps and gdb. Errors: system (the limit on threads; the detail says how to raise it).
Result<std::thread> start_thread(const std::string& name, std::function<void()> body);

}  // namespace holdfast
