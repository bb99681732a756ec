// Bytes in place, protected while the pin lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/base/check.h"

namespace holdfast {

/// The payload of an object (or of a range of it), readable until the pin goes. Where the owner is on this
/// host, these are the owner's own bytes; else a copy in this member's arena. May outlive its Store. Movable,
/// not copyable; a moved-from pin has no bytes. Release it in any thread.
class Pin {
 public:
  Pin() = default;
  Pin(Pin&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})),
        slot_(std::exchange(other.slot_, kNoSlot)),
        hold_(std::move(other.hold_)) {}
  Pin& operator=(Pin&& other) noexcept {
    if (this != &other) {
      release();
      bytes_ = std::exchange(other.bytes_, {});
      slot_ = std::exchange(other.slot_, kNoSlot);
      hold_ = std::move(other.hold_);
    }
    return *this;
  }
  ~Pin() { release(); }

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  std::uint64_t size() const noexcept { return bytes_.size(); }

  /// The bytes as whole values of T; a remainder shorter than T is not in the view. Whole objects begin at a
  /// multiple of 64 bytes; a range that begins at one unsuitable for T stops the process.
  template <class T>
  requires std::is_trivially_copyable_v<T> std::span<const T> as()
  const noexcept {
    HOLDFAST_CHECK(reinterpret_cast<std::uintptr_t>(bytes_.data()) % alignof(T) == 0,
                   "the pinned range is not aligned for this type; get it from an aligned offset");
    return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

  /// Lets go early.
  void release() noexcept;

 private:
  friend class PinFactory;
  static constexpr std::uint32_t kNoSlot = ~0U;
  std::span<const std::byte> bytes_;
  std::uint32_t slot_ = kNoSlot;  ///< in this process's ledger; kNoSlot for bytes that are a copy
  std::shared_ptr<void> hold_;    ///< the memory the bytes lie in
};

}  // namespace holdfast
