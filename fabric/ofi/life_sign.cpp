#include "fabric/ofi/life_sign.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

namespace holdfast::fabric::ofi {
namespace {

/// Those who ask between two calls of drain().
constexpr int kBacklog = 128;

/// The address as the kernel takes it; its family is AF_UNSPEC where it is no IP address.
sockaddr_storage with_port(std::span<const std::byte> address, std::uint16_t port) {
  sockaddr_storage out{};
  out.ss_family = AF_UNSPEC;
  if (address.size() != sizeof(sockaddr_in) && address.size() != sizeof(sockaddr_in6)) return out;
  std::memcpy(&out, address.data(), address.size());
  if (out.ss_family == AF_INET && address.size() == sizeof(sockaddr_in))
    reinterpret_cast<sockaddr_in*>(&out)->sin_port = htons(port);
  else if (out.ss_family == AF_INET6 && address.size() == sizeof(sockaddr_in6))
    reinterpret_cast<sockaddr_in6*>(&out)->sin6_port = htons(port);
  else
    out.ss_family = AF_UNSPEC;
  return out;
}

}  // namespace

LifeSign LifeSign::open(std::span<const std::byte> own) {
  sockaddr_storage at = with_port(own, 0);
  if (at.ss_family == AF_UNSPEC) return {};
  LifeSign sign;
  sign.socket_ = File(::socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  auto* const any = reinterpret_cast<sockaddr*>(&at);
  socklen_t size = static_cast<socklen_t>(own.size());
  if (!sign.socket_ || ::bind(sign.socket_.get(), any, size) != 0 ||
      ::listen(sign.socket_.get(), kBacklog) != 0 || ::getsockname(sign.socket_.get(), any, &size) != 0)
    return {};
  sign.port_ = ntohs(at.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in*>(&at)->sin_port
                                             : reinterpret_cast<const sockaddr_in6*>(&at)->sin6_port);
  return sign;
}

void LifeSign::drain() noexcept {
  if (!socket_) return;
  for (int i = 0; i < kBacklog; ++i) {
    const File asked(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!asked) return;
  }
}

std::vector<std::byte> life_sign_address(std::span<const std::byte> address, std::uint16_t port) {
  const sockaddr_storage at = with_port(address, port);
  if (port == 0 || at.ss_family == AF_UNSPEC) return {};
  const auto* const first = reinterpret_cast<const std::byte*>(&at);
  return {first, first + address.size()};
}

}  // namespace holdfast::fabric::ofi
