#include "holdfast/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace holdfast {

void check_failed(const char* file, int line, const char* condition, const char* why) noexcept {
  // stderr directly: the logger may be what is broken.
  std::fprintf(stderr, "holdfast: broken invariant at %s:%d: %s (%s)\n", file, line, condition, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace holdfast
