// An object being written in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "holdfast/base/result.h"
#include "holdfast/name.h"
#include "holdfast/object_ref.h"

namespace holdfast {

struct DraftState;

/// Memory in this member's arena that becomes an object when it is sealed. Dropping a draft gives the memory
/// back; who waits for its reference then gets not_found. Movable; one thread at a time.
class Draft {
 public:
  Draft(Draft&&) noexcept;
  Draft& operator=(Draft&&) noexcept;
  ~Draft();

  /// Where to write; not zeroed. Empty after seal() or a move.
  std::span<std::byte> bytes() const noexcept;

  /// A reference that can be sent to others before the object is sealed; a get of it waits for the seal.
  /// Errors: invalid (moved from or sealed).
  Result<ObjectRef> ref() const;

  /// Makes the bytes an object: checksums them and enters them in the catalogue. Consumes the draft also when
  /// it fails. Errors: full (catalogue), invalid (moved from, sealed, or the store was closed).
  Result<ObjectRef> seal() &&;

  /// The same under a name: returns when the name's home has it. If the name cannot be given, the object is
  /// gone, too. Errors: also exists, timed_out, owner_lost (the name's home cannot be reached).
  Result<ObjectRef> seal(const Name& name) &&;

 private:
  friend class Member;
  explicit Draft(std::unique_ptr<DraftState> state) noexcept;
  std::unique_ptr<DraftState> state_;
};

}  // namespace holdfast
