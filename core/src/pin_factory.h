// Makes pins: of memory that is protected by the ledger, and of copies.
#pragma once

#include <memory>
#include <span>

#include "holdfast/pin.h"
#include "src/local_memory.h"

namespace holdfast {

class PinFactory {
 public:
  /// Protected by a ledger slot, which the pin withdraws when it goes.
  static Pin in_place(std::span<const std::byte> bytes, std::shared_ptr<LocalMemory> memory,
                      std::uint32_t slot) {
    Pin pin;
    pin.bytes_ = bytes;
    pin.slot_ = slot;
    pin.hold_ = std::move(memory);
    return pin;
  }
  /// A copy that `hold` keeps.
  static Pin copy(std::span<const std::byte> bytes, std::shared_ptr<void> hold) {
    Pin pin;
    pin.bytes_ = bytes;
    pin.hold_ = std::move(hold);
    return pin;
  }
};

}  // namespace holdfast
