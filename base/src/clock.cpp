#include "holdfast/base/clock.h"

namespace holdfast {

const Clock& real_clock() noexcept {
  static const RealClock clock;
  return clock;
}

}  // namespace holdfast
