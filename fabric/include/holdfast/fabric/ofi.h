// Fabric on libfabric (https://ofiwg.github.io/libfabric/), for any provider with FI_EP_RDM, FI_RMA, FI_MSG.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric {

struct OfiOptions {
  /// Provider by libfabric's name ("net", "tcp", "verbs;ofi_rxm"); empty: the best one found.
  std::string provider;
  /// Fabric domain, network interface or local address to use; empty: the best one (never loopback while
  /// another interface is up, unless nothing else works).
  std::string interface;
  /// Endpoints that the caller opens at once at least: where ports are few, so many are tried. A member has
  /// one to serve and one to read.
  std::uint32_t least_endpoints = 2;
  /// Bytes that the caller will expose and attach, and the endpoints it will have at most. Where the device
  /// pins memory, and the limit on locked memory is too low for all of it, open_ofi() says so; nothing is
  /// pinned yet. 0 bytes: not looked at.
  std::uint64_t memory = 0;
  std::uint32_t most_endpoints = 2;
};

/// What an endpoint pins beside memory that is exposed and attached: its buffers, the provider's, and its
/// queues. Seen with verbs;ofi_rxm of libfabric 1.17 and two ranks: 1 MiB when it is opened, 35 MiB once it
/// has a connection (tests/testbed/exchange.cpp).
inline constexpr std::uint64_t kPinnedAnEndpoint = 40ULL << 20;

/// True where registered memory is pinned, and counts against the limit on locked memory (verbs, efa).
bool pins_memory(const FabricInfo& info) noexcept;

/// What would be pinned there: `options.memory`, once, and the endpoints' own.
std::uint64_t bytes_to_pin(const OfiOptions& options) noexcept;

/// What a process may pin (RLIMIT_MEMLOCK); UINT64_MAX: as much as there is, or it is exempt (CAP_IPC_LOCK).
struct LockedMemory {
  std::uint64_t soft = UINT64_MAX;
  std::uint64_t hard = UINT64_MAX;  ///< what the soft one can be raised to

  static LockedMemory of_this_process();
};

/// One provider that was looked at, for `holdfast doctor` and for the log.
struct OfiCandidate {
  FabricInfo info;
  bool usable = false;
  std::string reason;  ///< why it was chosen or passed over
};

/// Chooses a provider and opens it. Order: RDMA-capable (verbs, efa, cxi, psm3, psm2, psm), then `net` or
/// `tcp` with the xnet protocol, then `tcp;ofi_rxm`. A fall-back to TCP is logged as a warning where RDMA
/// hardware is present, else at info; FabricInfo::reason always says it. A candidate on which no endpoint can
/// be opened is passed over with a warning, but not an RDMA device that only lacks locked memory. Errors:
/// unsupported (no provider fits, or the one asked for is not there; lists what is), denied (the limit on
/// locked memory, see OfiOptions::memory; or, over TCP, one on open files, or no local port for the two
/// endpoints that a member needs at least; says how to raise it; nothing else is tried then), system. Takes
/// 0.2 s the first time in a process (libfabric loads all its providers), then 1 ms. Any thread, but the
/// first call changes the process: signal handlers that libfabric's dependencies installed while they were
/// loaded are taken out (for those loaded before main() that has been done by then; SIGINT and others are the
/// default again; the program's own stay), and where they were unset FI_OFI_RXM_USE_SRX is set to 1 with RDMA
/// devices, FI_UNIVERSE_SIZE to 32 with those of soft-RoCE. Call it before starting threads that read the
/// environment. `clock` outlives the fabric.
Result<std::unique_ptr<Fabric>> open_ofi(const OfiOptions& options, const Clock& clock = real_clock());

/// The local ports that libfabric's variables leave to the endpoints of a provider, on each host.
struct PortRange {
  std::string low_variable, high_variable;
  std::uint16_t low = 0, high = 0;  ///< both included

  std::uint32_t count() const noexcept { return std::uint32_t{high} - low + 1; }
};

/// Nothing: any port that the system gives. Call after open_ofi() or probe_ofi() has loaded the providers.
std::optional<PortRange> port_range_of(std::string_view provider);

/// All candidates in order of preference, the usable ones first, without opening one. Empty where
/// options.provider is none that Holdfast uses. The process is changed as by open_ofi().
Result<std::vector<OfiCandidate>> probe_ofi(const OfiOptions& options);

}  // namespace holdfast::fabric
