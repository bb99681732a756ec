// A process of its own that serves memory over the fabric, for tests that kill, stop and restart it. It is
// this program started anew (libfabric does not survive a fork), so main() must call run_if_target() first.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::test {

struct TargetOptions {
  std::string provider;
  unsigned seed = 1;       ///< of the bytes it exposes
  std::uint16_t port = 0;  ///< the port to listen at; 0: any
};

/// What the target tells the test: where it is and what it exposes.
struct TargetCard {
  std::uint32_t address_bytes = 0;
  std::byte address[kMaxAddressBytes] = {};
  RemoteMemory memory;
};

class TargetProcess {
 public:
  static constexpr std::size_t kExposedBytes = 1 << 20;

  /// Starts it and waits until it serves. Null where it could not (its message is on standard error).
  static std::unique_ptr<TargetProcess> start(const TargetOptions& options);
  ~TargetProcess();  ///< kills it
  TargetProcess(const TargetProcess&) = delete;
  TargetProcess& operator=(const TargetProcess&) = delete;

  Address address() const { return {card_.address, card_.address + card_.address_bytes}; }
  const RemoteMemory& memory() const { return card_.memory; }
  std::uint16_t port() const;

  void stop();           ///< SIGSTOP; returns when it stands still
  void go_on();          ///< SIGCONT
  void kill_and_reap();  ///< SIGKILL; returns when it is gone

 private:
  TargetProcess(pid_t pid, const TargetCard& card) : pid_(pid), card_(card) {}
  pid_t pid_;
  TargetCard card_;
};

/// The byte at `index` of what a target with `seed` exposes.
std::byte target_byte(std::size_t index, unsigned seed);

/// Sent to a target: closes its endpoint and goes on living.
inline constexpr std::byte kCloseYourEndpoint{0x63};

/// In main(), before anything else: runs the target and exits, where this process was started as one.
void run_if_target(int argc, char** argv);

}  // namespace holdfast::fabric::test
