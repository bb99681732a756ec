#include "holdfast/pin.h"

#include <utility>

#include "src/local_memory.h"

namespace holdfast {

void Pin::release() noexcept {
  if (slot_ != kNoSlot)
    static_cast<LocalMemory*>(hold_.get())->ledger().withdraw(std::exchange(slot_, kNoSlot));
  bytes_ = {};
  hold_.reset();
}

}  // namespace holdfast
