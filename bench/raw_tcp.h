// The limit that TCP providers are measured against: plain sockets over loopback, a process at each end.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <utility>

#include "holdfast/base/file.h"
#include "holdfast/base/result.h"

namespace holdfast::bench {

/// One thread at a time. The other end blocks in recv().
class RawTcp {
 public:
  /// Forks the other end; call before threads are started. Errors: system.
  static Result<std::unique_ptr<RawTcp>> start();
  ~RawTcp();  ///< ends it
  RawTcp(const RawTcp&) = delete;
  RawTcp& operator=(const RawTcp&) = delete;

  /// Median time from asking for `bytes` (a request of 16 bytes) until they are here, in nanoseconds, over
  /// `rounds`, both sides blocking.
  Result<double> round_trip_ns(std::size_t bytes, int rounds);
  /// Median bytes per second of asking for `bytes` at once, over `rounds`.
  Result<double> stream_bandwidth(std::size_t bytes, int rounds);

 private:
  RawTcp(File socket, pid_t child) : socket_(std::move(socket)), child_(child) {}
  File socket_;
  pid_t child_;
};

}  // namespace holdfast::bench
