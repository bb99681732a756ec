// A member's spiller on the timeline: called when it has something to do, and when something has ended on its
// disks. No thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "holdfast/fabric/sim/disk.h"
#include "holdfast/fabric/sim/timeline.h"
#include "sim/sim_disk.h"
#include "src/spiller.h"

namespace holdfast::sim {

/// Of one life of a member.
class TimelineSpiller {
 public:
  /// `runs()` says whether the process does: it may be stopped. All that is given outlives this. `name`: for
  /// the files, another one in each life.
  struct Parts {
    Timeline& timeline;
    Holdings& holdings;
    std::span<const std::unique_ptr<sim::Disk>> disks;
    std::string name;
    std::function<void(Notice)> tell;
    std::function<bool()> runs;
  };
  TimelineSpiller(const Parts& parts, const SpillOptions& options);
  /// What is under way ends with timed_out, and its files go.
  ~TimelineSpiller();
  TimelineSpiller(const TimelineSpiller&) = delete;
  TimelineSpiller& operator=(const TimelineSpiller&) = delete;

  /// Has it look soon: not from inside this call.
  void wake();

  SpillFiles& files() noexcept { return spiller_->files(); }

 private:
  void turn();

  Timeline& timeline_;
  Holdings& holdings_;
  std::function<bool()> runs_;
  std::vector<SimDisk*> disks_;
  std::unique_ptr<Spiller> spiller_;
  bool woken_ = false;
  EventId next_;
};

}  // namespace holdfast::sim
