// The other rank of a job of two: this program again, in a process of its own, that puts what it is asked
// for.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/file.h"
#include "holdfast/holdfast.h"

namespace holdfast::bench {

/// Objects for the peer to put, all with the same size.
struct PutRequest {
  std::uint64_t count = 1;
  std::uint64_t bytes = 8;
  /// Payload of an object that is put after each of them and stays: keeps them apart. 0: side by side.
  std::uint64_t gap_bytes = 0;
  /// Names them name(prefix, 0), name(prefix, 1), ...; empty: without names.
  std::string prefix;
};

struct PairOptions {
  SameHost same_host = SameHost::memory;
  std::uint64_t arena_bytes = 1ULL << 30;        ///< of each
  std::uint64_t catalogue_entries = 1ULL << 18;  ///< of each
};

/// A job of two members on this host; this process is rank 0. One thread at a time.
class Pair {
 public:
  /// Starts the peer and opens both stores; both arenas are prefaulted when it returns. At most one in a
  /// process's life: it sets the launcher's environment variables. Errors: as Store::open, as
  /// PrefaultWait::look, system.
  static Result<std::unique_ptr<Pair>> open(const PairOptions& options);
  ~Pair();  ///< ends the peer
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  Store& store() noexcept { return *store_; }

  /// Errors: what the peer's put answered; owner_lost (it ended).
  Result<std::vector<ObjectRef>> put(const PutRequest& request);

 private:
  Pair(File socket, pid_t peer) noexcept : socket_(std::move(socket)), peer_(peer) {}
  Result<std::string> read_line();

  File socket_;
  pid_t peer_;
  std::optional<Store> store_;
  std::string unread_;  ///< received after the last line taken
};

/// Opens a store that is alone in its job, prefaulted. Errors: as Store::open and PrefaultWait::look.
Result<Store> open_alone(std::uint64_t arena_bytes, std::uint64_t catalogue_entries = 1ULL << 16);

/// Runs the peer if the arguments say so; the exit status then.
std::optional<int> run_as_peer(int argc, char** argv);

}  // namespace holdfast::bench
