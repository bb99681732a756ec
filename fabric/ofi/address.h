// The bytes of an Address: what kind of address, for which protocol, and the provider's own form of it.
#pragma once

#include <cstdint>
#include <span>

#include "fabric/ofi/handles.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::ofi {

/// Wraps a provider's address. `raw` is at most kMaxAddressBytes less the header (16 bytes).
Address wrap_address(const fi_info& info, std::span<const std::byte> raw);

/// The provider's address inside, a view into `address`. Errors: invalid (not an address, or one of another
/// provider or protocol; says which).
Result<std::span<const std::byte>> unwrap_address(const fi_info& info, std::span<const std::byte> address);

}  // namespace holdfast::fabric::ofi
