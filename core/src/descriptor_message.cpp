#include "src/descriptor_message.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace holdfast {
namespace {
constexpr std::size_t kMostBytes = 8192;
}

Status send_descriptors(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors) {
  constexpr std::string_view kOperation = "send_descriptors";
  if (descriptors.size() > kMostDescriptors || bytes.size() > kMostBytes || bytes.empty())
    return fail(Code::invalid, kOperation, "too many descriptors or bytes for one packet");
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};
  if (errno == EPIPE || errno == ECONNRESET)
    return fail(Code::owner_lost, kOperation, "the peer has hung up");
  return fail_errno(errno, kOperation, "cannot pass memory to a process on this host");
}

Result<DescriptorMessage> receive_descriptors(int socket) {
  constexpr std::string_view kOperation = "receive_descriptors";
  DescriptorMessage received;
  received.bytes.resize(kMostBytes);
  iovec part{received.bytes.data(), received.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return fail(Code::timed_out, kOperation, "nothing has come yet");
  if (got < 0 && errno != ECONNRESET)
    return fail_errno(errno, kOperation, "cannot take memory from a process on this host");
  // Take the descriptors whatever else is wrong, so that none leaks.
  if (got > 0)
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
        received.files.emplace_back(fd);
      }
    }
  if (got <= 0) return fail(Code::owner_lost, kOperation, "the peer has hung up");
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return fail(Code::invalid, kOperation, "the packet is longer than any that a member sends");
  received.bytes.resize(static_cast<std::size_t>(got));
  return received;
}

Result<DescriptorMessage> receive_descriptors(int socket, Deadline deadline) {
  for (;;) {
    auto received = receive_descriptors(socket);
    if (received || received.error().code != Code::timed_out || deadline.passed(real_clock()))
      return received;
    pollfd waited{socket, POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::min<Duration>(deadline.left(real_clock()), std::chrono::hours(1)));
    // A signal begins the wait anew, with the time that is left.
    if (poll(&waited, 1, static_cast<int>(left.count())) < 0 && errno != EINTR)
      return fail_errno(errno, "receive_descriptors", "cannot wait for a process on this host");
  }
}

}  // namespace holdfast
