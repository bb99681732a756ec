// The limit that one-sided reads are measured against: fi_read with nothing of Holdfast in between, on the
// same provider and interface, against a process that blocks in its completion queue like a member's agent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "holdfast/base/result.h"

namespace holdfast::bench {

struct RawFabricOptions {
  std::string provider;                     ///< as in FabricInfo::provider
  std::string domain;                       ///< as in FabricInfo::domain; empty: the provider's first
  std::uint64_t exposed_bytes = 64u << 20;  ///< what the target exposes; the largest read there can be
};

/// One thread at a time.
class RawFabric {
 public:
  /// Forks the target. Call before anything else in this process has used libfabric, and before threads are
  /// started: the child goes on where fork() left it. Errors: unsupported, system.
  static Result<std::unique_ptr<RawFabric>> start(const RawFabricOptions& options);
  ~RawFabric();  ///< ends the target
  RawFabric(const RawFabric&) = delete;
  RawFabric& operator=(const RawFabric&) = delete;

  /// Median time of one read of `bytes` after the other, in nanoseconds, over `rounds`; the reader spins.
  Result<double> read_latency_ns(std::size_t bytes, int rounds);

  struct Stream {
    std::size_t bytes = 64u << 20;  ///< read in a round; at most exposed_bytes
    std::size_t chunk = 1u << 20;   ///< bytes a read
    int depth = 4;                  ///< reads in flight
    int rounds = 10;
    /// From the beginning of one chunk to that of the next where they are read from; 0: side by side.
    std::size_t stride = 0;
  };
  /// Median bytes per second.
  Result<double> read_bandwidth(const Stream& stream);

 private:
  struct Impl;
  explicit RawFabric(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::bench
