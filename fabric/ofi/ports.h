// Local ports, which endpoints over TCP need one each of.
#pragma once

#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/fabric/ofi.h"

namespace holdfast::fabric::ofi {

/// Whether a libfabric error says that no local port was to be had.
bool is_port_shortage(std::int64_t fabric_error) noexcept;

/// The failed side of a Result for that: denied, and says how many there are for `provider`, and how to have
/// more.
tl::unexpected<Error> fail_ports(std::int64_t fabric_error, std::string_view operation,
                                 std::string_view provider);

}  // namespace holdfast::fabric::ofi
