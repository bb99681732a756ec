// Moves cold objects to disk and back: asks Holdings what is to be written and read, and has the files do it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "src/holdings.h"
#include "src/spill_files.h"

namespace holdfast {

/// One thread, which also drives the disks, calls everything here; the simulator its timeline.
class Spiller {
 public:
  /// `tell` has waiters told. `holdings` outlives it.
  Spiller(const Clock& clock, Holdings& holdings, std::function<void(Notice)> tell,
          std::vector<std::unique_ptr<Disk>> disks, const SpillOptions& options);

  /// Starts what can be started. When to call again; earlier, when something has ended or has been woken.
  Deadline turn();

  SpillFiles& files() noexcept { return files_; }

 private:
  bool start_restores();
  bool start_spills();
  Task<void> restore(Holdings::Restore restore);
  Task<void> spill(Holdings::Spill spill);
  void watch_for_thrashing(const Holdings::Restore& restore);

  const Clock& clock_;
  Holdings& holdings_;
  std::function<void(Notice)> tell_;
  Duration pause_;
  std::size_t restoring_ = 0;
  std::uint64_t restoring_bytes_ = 0;
  std::uint64_t spilling_bytes_ = 0;
  /// Objects of so many bytes find no room on disk; until something there has gone. 0: no directory takes
  /// writes.
  std::uint64_t refused_from_ = Holdings::kAnySize;
  std::uint64_t room_made_ = 0;
  bool told_too_large_ = false;
  TimePoint window_started_;
  std::uint64_t window_bytes_ = 0;       ///< that came back
  std::uint64_t window_soon_bytes_ = 0;  ///< of these: soon after they had left
  bool window_told_ = false;
  SpillFiles files_;  ///< last: what is under way there ends first
};

/// A spiller on a thread of its own.
class SpillThread {
 public:
  /// Errors: system (no thread).
  static Result<std::unique_ptr<SpillThread>> start(const Clock& clock, Holdings& holdings,
                                                    std::function<void(Notice)> tell,
                                                    std::vector<std::unique_ptr<Disk>> disks,
                                                    const SpillOptions& options);
  ~SpillThread();

  /// As of a moment ago. Any thread.
  SpillStats stats() const;

 private:
  SpillThread(Holdings& holdings, std::unique_ptr<Spiller> spiller);
  void serve();

  Holdings& holdings_;
  std::unique_ptr<Spiller> spiller_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex stats_mutex_;
  SpillStats stats_;
  std::thread thread_;  ///< ended before the spiller goes
};

}  // namespace holdfast
