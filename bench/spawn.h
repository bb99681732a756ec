// Starting this program again as a rank of a job that only lives for a benchmark.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/base/file.h"
#include "holdfast/base/result.h"

namespace holdfast::bench {

/// A rendezvous directory of our own, removed with its content.
class RendezvousDirectory {
 public:
  /// Removes those that killed processes of this user left first. Errors: system, denied.
  static Result<RendezvousDirectory> create();
  RendezvousDirectory(RendezvousDirectory&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  RendezvousDirectory& operator=(RendezvousDirectory&&) = delete;
  ~RendezvousDirectory();
  const std::string& path() const noexcept { return path_; }

 private:
  explicit RendezvousDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

struct Rank {
  std::uint32_t rank = 0;
  std::uint32_t size = 1;
};

/// Makes this process that rank of the job that meets in `directory`, for a Store::open to come.
void set_launch_environment(const RendezvousDirectory& directory, const Rank& rank);

struct Spawned {
  File socket;  ///< a stream to the child's descriptor kChildSocket
  pid_t pid = -1;
};
inline constexpr int kChildSocket = 3;

/// Starts this program as `rank` with `arguments`. The child dies with the calling thread. Errors: system.
Result<Spawned> spawn_rank(const RendezvousDirectory& directory, const Rank& rank,
                           const std::vector<std::string>& arguments);

/// Kills it and waits for its end.
void end_rank(pid_t pid) noexcept;

/// Writes all of it. False where nobody reads any more.
bool write_all(int fd, const std::string& text) noexcept;

}  // namespace holdfast::bench
