// Checks of invariants; they stay on in production. A broken invariant stops the process with a message:
// going on would hand out wrong bytes.
#pragma once

namespace holdfast {

/// Prints where and what, then aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* why) noexcept;

}  // namespace holdfast

#define HOLDFAST_CHECK(condition, why)                               \
  do {                                                               \
    if (!(condition)) [[unlikely]]                                   \
      ::holdfast::check_failed(__FILE__, __LINE__, #condition, why); \
  } while (false)
