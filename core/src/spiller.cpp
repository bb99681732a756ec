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

// Enough to keep a disk busy; more would only make the last one wait. Small objects share reads, for which
// many must be known; of the others some, however large: a small one does not wait for a large one's end.
constexpr std::size_t kMostRestores = 1024;
constexpr std::size_t kAlwaysRestores = 16;
constexpr std::uint64_t kMostRestoring = 16_MiB;
constexpr std::uint64_t kMostSpilling = 64_MiB;
static_assert(kAlwaysRestores <= kMostRestores);

// While room is wanted and none could be made, how often to look whether pins have gone: at first, and at
// most.
constexpr Duration kFirstPause = std::chrono::milliseconds(1);
constexpr Duration kLongestPause = std::chrono::milliseconds(20);
// The same where more is kept than should be, but nobody waits: a disk may be full for hours.
constexpr Duration kLongestIdlePause = std::chrono::milliseconds(500);

// Of what comes back from disk in such a time, so large a share had left memory no longer before: it goes
// round in circles. Who reads once through more than fits does not: little of it has just left.
constexpr Duration kThrashingWindow = std::chrono::seconds(10);
constexpr std::uint64_t kCirclesShare = 2;
// And it is much: as much as the arena, or as this.
constexpr std::uint64_t kManyBytes = 1_GiB;

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
    refused_from_ = Holdings::kAnySize;
  }
  // A file may go later than the last copy in it: while something is read there. Compaction makes room, too.
  if (const std::uint64_t made = files_.room_made(); made != std::exchange(room_made_, made)) {
    refused_from_ = Holdings::kAnySize;
    holdings_.note_refusal({});
  }
  const bool restores = start_restores();
  const bool spills = start_spills();
  if (restores || spills) pause_ = kFirstPause;
  if (!holdings_.short_of_room()) return Deadline::never();
  const Duration longest = holdings_.room_is_awaited() ? kLongestPause : kLongestIdlePause;
  pause_ = std::min(pause_, longest);
  const Deadline next = Deadline::after(clock_, pause_);
  pause_ = std::min(2 * pause_, longest);
  return next;
}

bool Spiller::start_restores() {
  bool some = false;
  while (restoring_ < kAlwaysRestores || (restoring_ < kMostRestores && restoring_bytes_ < kMostRestoring)) {
    auto next = holdings_.next_restore();
    if (!next) break;
    some = true;
    const std::uint64_t bytes = next->bytes.size();
    ++restoring_;
    restoring_bytes_ += bytes;
    spawn(restore(std::move(*next)), [this, bytes] {
      --restoring_;
      restoring_bytes_ -= bytes;
    });
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
  if (read) watch_for_thrashing(restore);
}

bool Spiller::start_spills() {
  bool some = false;
  while (spilling_bytes_ < kMostSpilling) {
    auto next = holdings_.next_spill(refused_from_);
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
  // What is in memory stays there. Where no directory takes writes, each has told the log why.
  holdings_.kept_back(spill);
  if (!files_.writable()) {
    refused_from_ = 0;
    holdings_.note_refusal(fmt::format("nothing more is written to disk: {}", copy.error().detail));
    co_return;
  }
  refused_from_ = std::min<std::uint64_t>(refused_from_, spill.bytes.size());
  holdings_.note_refusal(fmt::format("objects of {} and more are not written to disk: {}",
                                     format_bytes(refused_from_), copy.error().detail));
  if (copy.error().code != Code::full || std::exchange(told_too_large_, true)) co_return;
  log(LogLevel::warning,
      fmt::format(
          "an object of {} has no room on disk and stays in memory, smaller ones are still spilled: {}; "
          "name a directory on a larger disk (HOLDFAST_SPILL)",
          format_bytes(spill.bytes.size()), copy.error().message()));
}

/// Says once in a while that the objects in use do not fit.
void Spiller::watch_for_thrashing(const Holdings::Restore& restore) {
  const TimePoint now = clock_.now();
  if (now - window_started_ > kThrashingWindow) {
    window_started_ = now;
    window_bytes_ = window_soon_bytes_ = 0;
    window_told_ = false;
  }
  window_bytes_ += restore.bytes.size();
  if (now - restore.left <= kThrashingWindow) window_soon_bytes_ += restore.bytes.size();
  const bool many = window_soon_bytes_ > std::min(holdings_.arena_bytes(), kManyBytes);
  if (window_told_ || !many || window_soon_bytes_ < window_bytes_ / kCirclesShare) return;
  window_told_ = true;
  holdings_.note_thrashing();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(kThrashingWindow).count();
  log(LogLevel::warning,
      fmt::format(
          "objects go to disk and back in circles: of {} that came back within {} s, {} had left less "
          "than {} s before; open the store with a larger arena (HOLDFAST_ARENA), or use fewer objects "
          "at a time",
          format_bytes(window_bytes_), seconds, format_bytes(window_soon_bytes_), seconds));
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
