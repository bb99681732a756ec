#include "holdfast/base/random.h"

#include <sys/random.h>

#include "holdfast/base/check.h"

namespace holdfast {

std::uint64_t random_u64() noexcept {
  std::uint64_t value = 0;
  while (value == 0)
    HOLDFAST_CHECK(getrandom(&value, sizeof value, 0) == sizeof value, "the kernel gave no random bytes");
  return value;
}

namespace {

class SystemRandom final : public RandomSource {
 public:
  std::uint64_t next() noexcept override { return random_u64(); }
};

}  // namespace

RandomSource& system_random() noexcept {
  static SystemRandom source;
  return source;
}

}  // namespace holdfast
