#include "sim/timeline_spiller.h"

namespace holdfast::sim {

TimelineSpiller::TimelineSpiller(const Parts& parts, const SpillOptions& options)
    : timeline_(parts.timeline), holdings_(parts.holdings), runs_(parts.runs) {
  std::vector<std::unique_ptr<holdfast::Disk>> adapters;
  for (const auto& disk : parts.disks) {
    auto adapter = std::make_unique<SimDisk>(*disk, parts.name);
    adapter->set_on_end([this] { wake(); });
    disks_.push_back(adapter.get());
    adapters.push_back(std::move(adapter));
  }
  spiller_ =
      std::make_unique<Spiller>(timeline_.clock(), holdings_, parts.tell, std::move(adapters), options);
  holdings_.set_spiller([this] { wake(); });
}

TimelineSpiller::~TimelineSpiller() {
  holdings_.set_spiller(nullptr);
  for (SimDisk* const disk : disks_) disk->set_on_end(nullptr);
  timeline_.cancel(next_);
  spiller_.reset();
}

void TimelineSpiller::wake() {
  if (woken_) return;
  woken_ = true;
  timeline_.cancel(next_);
  next_ = timeline_.after(Duration::zero(), [this] { turn(); });
}

void TimelineSpiller::turn() {
  next_ = {};
  woken_ = false;
  if (!runs_()) return;  // it is woken when the process runs again
  const Deadline due = spiller_->turn();
  if (!woken_ && due != Deadline::never()) next_ = timeline_.at(due.time(), [this] { turn(); });
}

}  // namespace holdfast::sim
