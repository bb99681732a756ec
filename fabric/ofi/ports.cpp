#include "fabric/ofi/ports.h"

#include <fmt/format.h>
#include <rdma/fabric.h>
#include <rdma/fi_errno.h>

#include <algorithm>
#include <charconv>

#include "fabric/ofi/errors.h"

namespace holdfast::fabric {
namespace ofi {
namespace {

constexpr std::int64_t kHighestPort = 65535;

/// What libfabric's port variables of these providers begin with; empty for others, which take no ports.
std::string_view prefix_of(std::string_view provider) {
  if (provider == "net") return "FI_NET_PORT_";
  if (provider == "tcp" || provider.starts_with("tcp;")) return "FI_TCP_PORT_";
  return {};
}

std::int64_t number_in(const char* text) {
  const std::string_view digits = text == nullptr ? "" : text;
  std::int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

bool is_port_shortage(std::int64_t fabric_error) noexcept {
  const std::int64_t number = fabric_error < 0 ? -fabric_error : fabric_error;
  return number == FI_EADDRINUSE || number == FI_EADDRNOTAVAIL;
}

tl::unexpected<Error> fail_ports(std::int64_t fabric_error, std::string_view operation,
                                 std::string_view provider) {
  constexpr std::string_view kNeed =
      "Each process needs one port to serve and one for each reading endpoint (a thread that reads from "
      "other "
      "processes; StoreOptions::reading_endpoints at most)";
  if (const auto range = port_range_of(provider))
    return fail(Code::denied, operation,
                fmt::format("{} in {}={} to {}={} on this host: {} taken. {}: widen the range, or unset "
                            "both variables to use any port",
                            describe(fabric_error), range->low_variable, range->low, range->high_variable,
                            range->high, range->count() == 1 ? "the only port is" : "all ports are", kNeed));
  return fail(Code::denied, operation,
              fmt::format("no local port is left, or the interface has lost its address: {}. {}: widen "
                          "net.ipv4.ip_local_port_range, or end what holds them (ss -tan)",
                          describe(fabric_error), kNeed));
}

}  // namespace ofi

std::optional<PortRange> port_range_of(std::string_view provider) {
  const std::string_view prefix = ofi::prefix_of(provider);
  fi_param* parameters = nullptr;
  int count = 0;
  if (prefix.empty() || fi_getparams(&parameters, &count) != 0) return std::nullopt;
  PortRange range{.low_variable = fmt::format("{}LOW_RANGE", prefix),
                  .high_variable = fmt::format("{}HIGH_RANGE", prefix)};
  std::int64_t low = 0, high = 0;
  for (int i = 0; i < count; ++i) {
    if (range.low_variable == parameters[i].name) low = ofi::number_in(parameters[i].value);
    if (range.high_variable == parameters[i].name) high = ofi::number_in(parameters[i].value);
  }
  fi_freeparams(parameters);
  // What else libfabric takes for no range at all.
  if (high <= 0 || low < 0 || low > high || low > ofi::kHighestPort) return std::nullopt;
  range.low = static_cast<std::uint16_t>(low);
  range.high = static_cast<std::uint16_t>(std::min(high, ofi::kHighestPort));
  return range;
}

}  // namespace holdfast::fabric
