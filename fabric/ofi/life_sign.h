// A TCP port that stands for an endpoint whose own traffic is RDMA: nobody is served there, but when the
// process has ended its host's kernel says so to whoever asks (refusal_probe.h). RDMA itself only falls
// silent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "holdfast/base/file.h"

namespace holdfast::fabric::ofi {

class LifeSign {
 public:
  /// None.
  LifeSign() = default;
  /// Listens at any port of the IP address in `own` (a sockaddr_in or sockaddr_in6). None where `own` is
  /// something else or no port can be had: the endpoint works without, and deadlines have to tell.
  static LifeSign open(std::span<const std::byte> own);

  std::uint16_t port() const noexcept { return port_; }  ///< 0: none
  /// Forgets those who have asked since the last time, so that the kernel goes on answering. Never blocks.
  void drain() noexcept;

 private:
  File socket_;
  std::uint16_t port_ = 0;
};

/// Where to ask for an endpoint at `address` (a sockaddr_in or sockaddr_in6) whose life sign has this port.
/// Empty where there is none.
std::vector<std::byte> life_sign_address(std::span<const std::byte> address, std::uint16_t port);

}  // namespace holdfast::fabric::ofi
