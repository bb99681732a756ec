#include "src/neighbour_socket.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace holdfast {

std::string neighbour_socket_name(std::uint64_t incarnation) {
  return fmt::format("holdfast-{:016x}", incarnation);
}

AbstractAddress::AbstractAddress(std::string_view name) noexcept {
  address.sun_family = AF_UNIX;
  const std::size_t n = std::min(name.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path + 1, name.data(), n);
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + n);
}

ucred peer_of(int socket) noexcept {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) peer.uid = static_cast<uid_t>(-1);
  return peer;
}

bool is_same_user(int socket) noexcept { return peer_of(socket).uid == geteuid(); }

}  // namespace holdfast
