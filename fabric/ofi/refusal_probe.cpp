#include "fabric/ofi/refusal_probe.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace holdfast::fabric::ofi {

RefusalProbe RefusalProbe::start(std::span<const std::byte> address) {
  RefusalProbe probe;
  sockaddr_storage to{};
  if (address.size() < sizeof(sockaddr) || address.size() > sizeof(to)) return probe;
  std::memcpy(&to, address.data(), address.size());
  probe.socket_ = File(::socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!probe.socket_) return probe;
  // Ends with a reset. Of a connection that is closed, net (libfabric 1.17) may take the end for "nothing to
  // read yet", and then neither looks at it again nor closes it: each probe would cost the peer a descriptor.
  constexpr linger kReset = {.l_onoff = 1, .l_linger = 0};
  ::setsockopt(probe.socket_.get(), SOL_SOCKET, SO_LINGER, &kReset, sizeof(kReset));
  const int rc = ::connect(probe.socket_.get(), reinterpret_cast<const sockaddr*>(&to),
                           static_cast<socklen_t>(address.size()));
  // A refusal on this host comes at once and must not be lost: the socket tells it no second time.
  if (rc != 0 && errno == ECONNREFUSED) probe.refused_at_once_ = true;
  return probe;
}

RefusalProbe::Answer RefusalProbe::look() noexcept {
  if (!socket_) return Answer::open;
  if (refused_at_once_) {
    *this = RefusalProbe();
    return Answer::refused;
  }
  pollfd state = {socket_.get(), POLLOUT, 0};
  if (::poll(&state, 1, 0) == 0) return Answer::pending;
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  *this = RefusalProbe();
  return error == ECONNREFUSED ? Answer::refused : Answer::open;
}

}  // namespace holdfast::fabric::ofi
