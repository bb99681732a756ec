// libfabric's error numbers in Holdfast's words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::ofi {

/// What a caller can do about a libfabric error. Providers report numbers with either sign.
Code code_of(std::int64_t fabric_error) noexcept;

/// "Connection reset by peer (104)".
std::string describe(std::int64_t fabric_error);

/// The failed side of a Result from a libfabric call, e.g. fail_ofi(rc, "Endpoint::expose", "fi_mr_reg").
tl::unexpected<Error> fail_ofi(std::int64_t fabric_error, std::string_view operation, std::string_view call);

/// For registration of memory: ENOMEM there is nearly always the locked-memory limit, and EPERM one of 0;
/// says how to raise it.
tl::unexpected<Error> fail_registration(std::int64_t fabric_error, std::string_view operation,
                                        std::uint64_t bytes);

/// For other calls that pin memory where the provider does (an endpoint's queues and buffers): ENOMEM under a
/// finite limit is `denied`, too, and says the same.
tl::unexpected<Error> fail_opening(std::int64_t fabric_error, std::string_view operation,
                                   std::string_view call, const FabricInfo& info);

}  // namespace holdfast::fabric::ofi
