// Asks the kernel of a peer's host whether anybody listens at its address (over TCP) or its life sign (over
// RDMA, life_sign.h). libfabric's providers connect behind the scenes and answer -FI_EAGAIN for ever where
// the connection is refused; this tells a process that has died from one that is slow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "holdfast/base/file.h"

namespace holdfast::fabric::ofi {

class RefusalProbe {
 public:
  enum class Answer : std::uint8_t {
    pending,
    refused,  ///< its host is there and nobody listens
    open,     ///< somebody listens, or the network does not say
  };

  /// Not under way.
  RefusalProbe() = default;
  /// Begins to connect to a sockaddr_in or sockaddr_in6; never blocks.
  static RefusalProbe start(std::span<const std::byte> address);

  bool under_way() const noexcept { return static_cast<bool>(socket_); }
  /// The answer so far; the probe is over after any but pending.
  Answer look() noexcept;

 private:
  File socket_;
  bool refused_at_once_ = false;
};

}  // namespace holdfast::fabric::ofi
