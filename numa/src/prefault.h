// Touches the pages of an arena in the background, so that their first users do not pay for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/numa/system_files.h"
#include "holdfast/numa/topology.h"

namespace holdfast::numa {

struct PrefaultPart {
  std::byte* base = nullptr;
  std::uint64_t bytes = 0;
  std::uint64_t page_bytes = 4096;
  NodeId node;
  std::vector<std::uint32_t> cpus;  ///< of the node
  /// Pages set aside when the mapping was made cannot run short; others are watched.
  enum class Supply : std::uint8_t { reserved, watched } supply = Supply::watched;
};

/// How pages are made to exist without changing their bytes while the owner writes them.
enum class TouchMethod : std::uint8_t {
  populate,  ///< MADV_POPULATE_WRITE (Linux 5.14); becomes `fetch_or` where the kernel has none
  fetch_or,  ///< an atomic "or" of nothing to a byte of each page
};

struct PrefaultOptions {
  unsigned threads_per_part = 2;
  TouchMethod method = TouchMethod::populate;
  /// Stops when less than this would be left on the machine, the node or the cgroup.
  std::uint64_t keep_free_bytes = 0;
  /// Whether each node's free memory counts, not only the machine's.
  bool watch_nodes = true;
};

/// Owns the threads. The parts' memory must outlive it.
class Prefault {
 public:
  Prefault(std::vector<PrefaultPart> parts, const PrefaultOptions& options, SystemFiles system);
  ~Prefault() { stop(); }
  Prefault(const Prefault&) = delete;
  Prefault& operator=(const Prefault&) = delete;

  std::uint64_t bytes_done(std::size_t part) const noexcept;
  std::string note(std::size_t part) const;  ///< why it stopped early; empty if it did not
  void wait() const;

  /// The threads end with the piece they have in hand (512 KiB, or a page). Does not wait. Any thread.
  void ask_to_stop() noexcept { stopping_.store(true, std::memory_order_relaxed); }
  /// Asks and joins; what was done stays readable. Again: nothing. One thread at a time.
  void stop();

 private:
  struct Progress {
    std::atomic<std::uint64_t> next{0};  // first byte that no thread has taken yet
    std::atomic<std::uint64_t> done{0};
    std::atomic<bool> stopped{false};
    std::string note;  // under mutex_
  };

  void work(std::size_t index);
  void work_on(const PrefaultPart& part, Progress& progress);
  bool touch(const PrefaultPart& part, std::span<std::byte> piece, Progress& progress);
  bool memory_is_short(const PrefaultPart& part, std::uint64_t piece, Progress& progress);
  void stop_part(Progress& progress, std::string why);

  const std::vector<PrefaultPart> parts_;
  const SystemFiles system_;
  const std::uint64_t keep_free_bytes_;
  const bool watch_nodes_;
  std::atomic<TouchMethod> method_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Progress[]> progress_;
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  std::size_t running_ = 0;  // under mutex_
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::numa
