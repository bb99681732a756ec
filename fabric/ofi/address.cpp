#include "fabric/ofi/address.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <cstring>

namespace holdfast::fabric::ofi {
namespace {

/// Fixed layout, host order: a job runs on machines of one byte order, and the magic catches the rest.
struct Header {
  std::uint32_t magic = 0;
  std::uint32_t format = 0;    ///< FI_SOCKADDR_IN, ...
  std::uint32_t protocol = 0;  ///< FI_PROTO_XNET, ...
  std::uint16_t raw_bytes = 0;
  std::uint16_t life_sign = 0;  ///< a TCP port, in host order
};
static_assert(sizeof(Header) == 16);
constexpr std::uint32_t kMagic = 0x31414648;  // "HFA1"
constexpr std::string_view kOperation = "Endpoint::connect";

bool plausible_ip(const fi_info& info, std::span<const std::byte> raw) {
  if (info.addr_format == FI_SOCKADDR_IN) {
    sockaddr_in in{};
    if (raw.size() != sizeof(in)) return false;
    std::memcpy(&in, raw.data(), sizeof(in));
    return in.sin_family == AF_INET && in.sin_port != 0 && in.sin_addr.s_addr != INADDR_ANY;
  }
  if (info.addr_format == FI_SOCKADDR_IN6) {
    sockaddr_in6 in{};
    if (raw.size() != sizeof(in)) return false;
    std::memcpy(&in, raw.data(), sizeof(in));
    return in.sin6_family == AF_INET6 && in.sin6_port != 0;
  }
  return true;
}

}  // namespace

Address wrap_address(const fi_info& info, std::span<const std::byte> raw, std::uint16_t life_sign) {
  const Header header{kMagic, info.addr_format, info.ep_attr->protocol,
                      static_cast<std::uint16_t>(raw.size()), life_sign};
  Address out(sizeof(header) + raw.size());
  std::memcpy(out.data(), &header, sizeof(header));
  std::memcpy(out.data() + sizeof(header), raw.data(), raw.size());
  return out;
}

Result<std::span<const std::byte>> unwrap_address(const fi_info& info, std::span<const std::byte> address) {
  Header header;
  if (address.size() < sizeof(header) || address.size() > kMaxAddressBytes)
    return fail(Code::invalid, kOperation, fmt::format("{} bytes are not an address", address.size()));
  std::memcpy(&header, address.data(), sizeof(header));
  const auto raw = address.subspan(sizeof(header));
  if (header.magic != kMagic || header.raw_bytes != raw.size() || raw.empty())
    return fail(Code::invalid, kOperation, "these bytes are not an address");
  if (header.protocol != info.ep_attr->protocol || header.format != info.addr_format)
    return fail(Code::invalid, kOperation,
                fmt::format("the peer uses another provider (protocol {}, address format {}; here {}, {} of "
                            "{}): set the same HOLDFAST_PROVIDER on all ranks",
                            header.protocol, header.format, info.ep_attr->protocol, info.addr_format,
                            info.fabric_attr->prov_name));
  if (!plausible_ip(info, raw)) return fail(Code::invalid, kOperation, "the address has no host or no port");
  return raw;
}

std::uint16_t life_sign_in(std::span<const std::byte> address) noexcept {
  Header header;
  std::memcpy(&header, address.data(), sizeof(header));
  return header.life_sign;
}

}  // namespace holdfast::fabric::ofi
