#include "src/spiller.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "holdfast/base/log.h"
#include "holdfast/base/thread.h"
#include "holdfast/base/units.h"
#include "src/mutation.h"

namespace holdfast {
namespace {

// Enough to keep a disk busy; more would only make the last one wait.
constexpr std::size_t kMostRestores = 16;
constexpr std::uint64_t kMostSpilling = 64_MiB;

// While room is wanted and none could be made, how often to look whether pins have gone: at first, and at
// most.
constexpr Duration kFirstPause = std::chrono::milliseconds(1);
constexpr Duration kLongestPause = std::chrono::milliseconds(20);

// What comes back from disk in such a time is more than the arena holds: it goes round in circles.
constexpr Duration kThrashingWindow = std::chrono::seconds(10);

}  // namespace

Spiller::Spiller(const Clock& clock, Holdings& holdings, std::function<void(Notice)> tell,
                 std::vector<std::unique_ptr<Disk>> disks, const SpillOptions& options)
    : clock_(clock),
      holdings_(holdings),
      tell_(std::move(tell)),
      pause_(kFirstPause),
      window_started_(clock.now()),
      files_(std::move(disks), options) {}

Deadline Spiller::turn() {
  for (const SpillHandle copy : holdings_.take_dead_copies()) {
    files_.free(copy);
    refused_ = false;
  }
  const bool restores = start_restores();
  const bool spills = start_spills();
  if (restores || spills) pause_ = kFirstPause;
  if (!holdings_.short_of_room()) return Deadline::never();
  const Deadline next = Deadline::after(clock_, pause_);
  pause_ = std::min(2 * pause_, kLongestPause);
  return next;
}

bool Spiller::start_restores() {
  bool some = false;
  while (restoring_ < kMostRestores) {
    auto next = holdings_.next_restore();
    if (!next) break;
    some = true;
    ++restoring_;
    spawn(restore(std::move(*next)), [this] { --restoring_; });
  }
  return some;
}

Task<void> Spiller::restore(Holdings::Restore restore) {
  Status read = fail(Code::not_found, "Store::get", "the object was erased");
  if (HOLDFAST_MUTATION(restored_before_read) && restore.copy != 0) {
    if (auto early = holdings_.restored(restore)) tell_(std::move(*early));
    (void)co_await files_.read(restore.copy, restore.bytes);
    co_return;
  }
  if (restore.copy != 0) read = co_await files_.read(restore.copy, restore.bytes);
  auto notice = read ? holdings_.restored(restore) : holdings_.not_restored(restore, std::move(read).error());
  if (notice) tell_(std::move(*notice));
  if (read) watch_for_thrashing(restore.bytes.size());
}

bool Spiller::start_spills() {
  bool some = false;
  while (spilling_bytes_ < kMostSpilling) {
    auto next = holdings_.next_spill(refused_ ? Holdings::DiskWrites::refused : Holdings::DiskWrites::taken);
    if (!next) break;
    some = true;
    const std::uint64_t bytes = next->bytes.size();
    spilling_bytes_ += bytes;
    spawn(spill(*next), [this, bytes] { spilling_bytes_ -= bytes; });
  }
  return some;
}

Task<void> Spiller::spill(Holdings::Spill spill) {
  const auto copy = co_await files_.write(spill.bytes);
  if (copy) {
    holdings_.spilled(spill, *copy);
    co_return;
  }
  // Each directory has told the log why. What is in memory stays there.
  refused_ = true;
  holdings_.kept_back(spill, copy.error());
}

/// Says once in a while that the objects in use do not fit.
void Spiller::watch_for_thrashing(std::uint64_t bytes) {
  const TimePoint now = clock_.now();
  if (now - window_started_ > kThrashingWindow) {
    window_started_ = now;
    window_bytes_ = 0;
  }
  const std::uint64_t arena = holdings_.arena_bytes();
  const bool before = window_bytes_ > arena;
  window_bytes_ += bytes;
  if (before || window_bytes_ <= arena) return;
  holdings_.note_thrashing();
  log(LogLevel::warning,
      fmt::format(
          "objects go to disk and back in circles: {} came back within {} s, more than the arena of {}; "
          "open the store with a larger arena (HOLDFAST_ARENA), or use fewer objects at a time",
          format_bytes(window_bytes_),
          std::chrono::duration_cast<std::chrono::seconds>(kThrashingWindow).count(), format_bytes(arena)));
}

SpillThread::SpillThread(Holdings& holdings, std::unique_ptr<Spiller> spiller)
    : holdings_(holdings), spiller_(std::move(spiller)), stats_(spiller_->files().stats()) {}

Result<std::unique_ptr<SpillThread>> SpillThread::start(const Clock& clock, Holdings& holdings,
                                                        std::function<void(Notice)> tell,
                                                        std::vector<std::unique_ptr<Disk>> disks,
                                                        const SpillOptions& options) {
  auto spiller = std::make_unique<Spiller>(clock, holdings, std::move(tell), std::move(disks), options);
  std::unique_ptr<SpillThread> made(new SpillThread(holdings, std::move(spiller)));
  HOLDFAST_TRY(made->thread_, start_thread("hf-spill", [spill = made.get()] { spill->serve(); }));
  holdings.set_spiller([files = &made->spiller_->files()] { files->wake(); });
  return made;
}

SpillThread::~SpillThread() {
  if (!thread_.joinable()) return;
  holdings_.set_spiller(nullptr);
  stopping_.store(true, std::memory_order_release);
  spiller_->files().wake();
  thread_.join();
}

void SpillThread::serve() {
  while (!stopping_.load(std::memory_order_acquire)) {
    const Deadline until = spiller_->turn();
    {
      const std::lock_guard lock(stats_mutex_);
      stats_ = spiller_->files().stats();
    }
    spiller_->files().drive(until);
  }
}

SpillStats SpillThread::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

}  // namespace holdfast
