// What both ends of the Unix sockets between members of a host agree on.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast {

/// First word of the packet of a process that wants to map memory, and of the answer to it.
inline constexpr std::uint64_t kHelloMagic = 0x6f6c6c6568666c68;
/// First word of the packet of one that asks about an object.
inline constexpr std::uint64_t kWhyMagic = 0x3f79687777666c68;

/// Where a life of a member listens, in the abstract namespace.
std::string neighbour_socket_name(std::uint64_t incarnation);

struct AbstractAddress {
  explicit AbstractAddress(std::string_view name) noexcept;
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&address); }
  sockaddr_un address{};
  socklen_t length = 0;
};

/// Who is at the other end; nobody (uid -1) where that cannot be told.
ucred peer_of(int socket) noexcept;
bool is_same_user(int socket) noexcept;

}  // namespace holdfast
