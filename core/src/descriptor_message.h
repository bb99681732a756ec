// One packet with open descriptors over a Unix SOCK_SEQPACKET socket (unix(7), SCM_RIGHTS).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/file.h"
#include "holdfast/base/result.h"

namespace holdfast {

struct DescriptorMessage {
  std::vector<std::byte> bytes;
  std::vector<File> files;
};

/// Descriptors the kernel passes at once at most (SCM_MAX_FD): also the most segments an arena can have.
inline constexpr std::size_t kMostDescriptors = 253;

/// Errors: invalid (too many descriptors), owner_lost (the peer has hung up), system.
Status send_descriptors(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);

/// Takes what has come, without blocking. Errors: timed_out (nothing has), owner_lost (the peer has hung up),
/// invalid (a packet longer than 8 KiB), system.
Result<DescriptorMessage> receive_descriptors(int socket);

/// Waits for it, whatever signals come meanwhile. Errors: the same.
Result<DescriptorMessage> receive_descriptors(int socket, Deadline deadline);

}  // namespace holdfast
