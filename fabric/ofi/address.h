// The bytes of an Address: what kind of address, for which protocol, and the provider's own form of it.
#pragma once

#include <cstdint>
#include <span>

#include "fabric/ofi/handles.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::ofi {

/// Wraps a provider's address. `raw` is at most kMaxAddressBytes less the header (16 bytes). `life_sign`: the
/// port of the endpoint's LifeSign; 0 where it has none.
Address wrap_address(const fi_info& info, std::span<const std::byte> raw, std::uint16_t life_sign = 0);

/// The provider's address inside, a view into `address`. Errors: invalid (not an address, or one of another
/// provider or protocol; says which).
Result<std::span<const std::byte>> unwrap_address(const fi_info& info, std::span<const std::byte> address);

/// The port of the life sign in an address that unwrap_address() has taken.
std::uint16_t life_sign_in(std::span<const std::byte> address) noexcept;

}  // namespace holdfast::fabric::ofi
