// Reaching other processes: one-sided reads of memory they have exposed, and small messages.
//
// A Fabric is the network as one provider shows it; it opens Endpoints. An Endpoint belongs to one thread at
// a time (the caller sees to that; only wake() may be called from others) and moves only when it is driven:
// poll(), wait(). Every operation carries a deadline and ends exactly once, by a call to its Completion from
// inside poll(), wait(), or the destructor; never from inside the call that started it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"

namespace holdfast::fabric {

/// An endpoint's opaque address, as another one connects to it. At most kMaxAddressBytes.
using Address = std::vector<std::byte>;
inline constexpr std::size_t kMaxAddressBytes = 256;

/// Longest message send() takes; every implementation delivers messages of this size.
inline constexpr std::size_t kMaxMessageBytes = 4096;

/// Permission to read a range of another process's memory. Sent to those who shall read.
struct RemoteMemory {
  std::uint64_t base = 0;   ///< what the provider counts from: an address, or 0
  std::uint64_t key = 0;    ///< random where the provider lets us choose; without it nothing can be read
  std::uint64_t bytes = 0;  ///< length of the range
};

/// A peer this endpoint has connected to; small numbers, valid for the endpoint's life.
struct PeerId {
  std::uint32_t value = 0;
  friend auto operator<=>(const PeerId&, const PeerId&) = default;
};

/// What ends an operation. The caller keeps it alive until complete() is called; it may destroy it there.
class Completion {
 public:
  /// Errors: timed_out (deadline), owner_lost (the peer's process is gone, or nobody listens at its address;
  /// also what a refused key looks like where the provider only breaks the connection: net, tcp, verbs),
  /// invalid (range outside the exposed memory), denied (key refused), full (65536 operations wait for the
  /// network already), system.
  virtual void complete(Status status) = 0;

 protected:
  ~Completion() = default;
};

/// A part of exposed memory.
struct Stretch {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// Most stretches that one read takes, whatever a provider could.
inline constexpr std::size_t kMostGather = 8;

struct ReadRequest {
  PeerId peer;
  RemoteMemory from;
  std::uint64_t offset = 0;   ///< into `from`; not looked at where there is `gather`
  std::span<std::byte> into;  ///< lies in memory given to attach() where info().needs_attach
  /// Keeps `into` alive. Held until nothing can write `into` any more: usually the completion; after a
  /// deadline that passed with the transfer under way, when the endpoint closes (quarantine).
  std::shared_ptr<void> hold;
  Deadline deadline = Deadline::never();
  /// Stretches of `from` that land one after the other in `into`, with one request. At most
  /// info().max_gather, together as long as `into`, and no longer than info().best_read_bytes. Copied.
  std::span<const Stretch> gather{};
};

struct FabricInfo {
  std::string provider;               ///< "verbs;ofi_rxm", "net"
  std::string protocol;               ///< wire protocol; both sides must have the same
  std::string domain;                 ///< device or interface, "mlx5_0", "eth0", "lo"
  std::string reason;                 ///< why this one was chosen, for people
  bool rdma = false;                  ///< false: TCP, a fallback
  bool needs_attach = false;          ///< local buffers of reads must lie in attached memory
  bool exposes_lazily = true;         ///< expose() costs nothing; false: it pins pages and takes time
  std::uint64_t max_read_bytes = 0;   ///< larger reads are split inside
  std::uint64_t best_read_bytes = 0;  ///< piece that reaches full bandwidth with best_depth in flight
  std::uint32_t best_depth = 1;
  std::uint32_t max_gather = 1;  ///< stretches that one read takes, see ReadRequest; 1: none but a whole
};

struct EndpointStats {
  std::uint64_t reads = 0;            ///< read() calls completed well
  std::uint64_t read_operations = 0;  ///< one-sided reads posted to the provider for them, after splitting
  std::uint64_t read_bytes = 0;
  std::uint64_t sends = 0;
  std::uint64_t receives = 0;
  std::uint64_t quarantined = 0;  ///< buffers held now because a passed deadline left a transfer under way
};

class Endpoint {
 public:
  /// Closes; outstanding operations complete with timed_out (they must not start new ones), quarantined
  /// buffers are released after.
  virtual ~Endpoint() = default;

  virtual const Address& address() const noexcept = 0;
  virtual EndpointStats stats() const noexcept = 0;

  /// Lets others read `memory` (never write it) until the endpoint closes. The key is random, except with
  /// devices that give out their own (verbs). Errors: denied (locked-memory limit; says how to raise it),
  /// invalid (0 bytes), unsupported (keys longer than 64 bits), system.
  virtual Result<RemoteMemory> expose(std::span<const std::byte> memory) = 0;

  /// Makes `memory` usable as destination of reads, until the endpoint closes. Nothing to do where
  /// !info().needs_attach. Where a device pins memory, endpoints of a fabric that expose or attach exactly
  /// the same share one registration, which lives as long as one of them: so must the memory. Errors: denied
  /// (locked-memory limit), system.
  virtual Status attach(std::span<std::byte> memory) = 0;

  /// Prepares for talking to an address. Does not wait for the peer. The same address gives the same PeerId.
  /// A PeerId outlives a broken connection: after owner_lost a later operation connects anew, once somebody
  /// is there (again); one more may end with owner_lost before the provider has noticed. verbs;ofi_rxm does
  /// not recover from a refused key: there only another endpoint reads from that peer again.
  /// Errors: invalid (not an address of this provider), system.
  virtual Result<PeerId> connect(std::span<const std::byte> address) = 0;

  /// Starts a one-sided read; no code of the peer's above its fabric runs. A range outside `from` completes
  /// with invalid. 0 bytes complete well without touching the network.
  virtual void read(const ReadRequest& request, Completion& completion) = 0;

  /// Starts sending `message` (copied before the call returns). Completes well when handed to the network;
  /// not a promise that the peer has seen it. Messages between two endpoints keep their order. More than
  /// kMaxMessageBytes completes with invalid.
  virtual void send(PeerId peer, std::span<const std::byte> message, Deadline deadline,
                    Completion& completion) = 0;

  /// Who gets messages; called from poll() and wait(). The bytes are valid during the call only. Set before
  /// the first poll; without one, messages are dropped.
  virtual void set_receiver(std::function<void(std::span<const std::byte>)> receiver) = 0;

  /// Drives everything that can go on now, without blocking. Not from inside a completion or a receiver
  /// (starting operations, connect(), expose() and attach() may be called there). Returns how many operations
  /// ended plus how many messages were received.
  virtual std::size_t poll() = 0;

  /// Drives until at least one operation ends or a message comes, wake() is called, or `until` passes: spins
  /// for at most `spin` (bound: 1 hour), then sleeps in the provider. Returns like poll(). Not from inside a
  /// completion or a receiver.
  virtual std::size_t wait(Deadline until, Duration spin) = 0;

  /// Makes a present or the next wait() return; never lost, several before one return count as one. Any
  /// thread, while the endpoint lives.
  virtual void wake() noexcept = 0;
};

struct EndpointOptions {
  /// Messages that may wait to be received before senders are held up. Bound: 1 to 4096.
  std::uint32_t receive_depth = 64;
};

class Fabric {
 public:
  virtual ~Fabric() = default;  ///< all endpoints must be gone
  virtual const FabricInfo& info() const noexcept = 0;
  /// Any thread. Errors: invalid (receive_depth out of bounds), denied, system.
  virtual Result<std::unique_ptr<Endpoint>> open(const EndpointOptions& options) = 0;
};

}  // namespace holdfast::fabric
