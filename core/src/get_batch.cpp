// get_many from one owner: at once what lies together, then the rest, several at a time.
#include <utility>

#include "src/batch.h"
#include "src/protocols.h"
#include "src/view_of.h"

namespace holdfast {
namespace {

// Single gets of one batch at a time. Looks at the catalogue and small reads wait for the network most of the
// time, so many; of payload no more than keeps any network busy.
constexpr std::size_t kMostAtOnce = 32;
constexpr std::uint64_t kMostBytesAtOnce = 16 * 1024 * 1024;

/// Counts what is under way; co_await it: until something has ended. In the frame of who starts and awaits.
class UnderWay {
 public:
  bool has_room_for(std::uint64_t bytes) const noexcept {
    return gets_ == 0 || (gets_ < kMostAtOnce && bytes_ + bytes <= kMostBytesAtOnce);
  }
  bool is_over() const noexcept { return gets_ == 0 && waits_ == 0; }

  void begin(std::uint64_t bytes) noexcept {
    ++gets_;
    bytes_ += bytes;
  }
  /// The last of it may be the end of this.
  void end(std::uint64_t bytes) {
    --gets_;
    bytes_ -= bytes;
    go_on();
  }
  /// Those that wait for an object to be sealed cost nothing, and must not hold up others.
  void begin_wait() noexcept { ++waits_; }
  void end_wait() {
    --waits_;
    go_on();
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { waiting_ = waiting; }
  void await_resume() const noexcept {}

 private:
  void go_on() {
    if (waiting_) std::exchange(waiting_, {}).resume();
  }
  std::size_t gets_ = 0, waits_ = 0;
  std::uint64_t bytes_ = 0;
  std::coroutine_handle<> waiting_;
};

/// From mapped memory. What is not found there stays open.
void take_mapped(Batch& batch, const View& view) {
  for (std::size_t i = 0; i < batch.entries.size(); ++i) {
    Pin pin;
    auto there = get_local(batch.job, view, batch.entries[i], batch.want, pin);
    if (!there)
      batch.results[i] = tl::unexpected(std::move(there).error());
    else if (*there)
      batch.results[i] = std::move(pin);
  }
}

/// What is open, each by itself.
Task<void> take_singly(Batch& batch) {
  UnderWay under_way;
  Want now = batch.want;
  now.waiting.allowed = false;
  for (std::size_t i = 0; i < batch.entries.size(); ++i) {
    if (!batch.is_open(i)) continue;
    const std::uint64_t bytes = batch.entries[i].layout.size;
    while (!under_way.has_room_for(bytes)) co_await under_way;
    under_way.begin(bytes);
    spawn(get_pin(batch.job, batch.channel, batch.entries[i], now, batch.deadline),
          [&batch, &under_way, i, bytes](Result<Pin> pin) {
            batch.results[i] = std::move(pin);
            if (batch.want.waiting.allowed && batch.is_open(i)) {
              under_way.begin_wait();
              spawn(get_pin(batch.job, batch.channel, batch.entries[i], batch.want, batch.deadline),
                    [&batch, &under_way, i](Result<Pin> late) {
                      batch.results[i] = std::move(late);
                      under_way.end_wait();
                    });
            }
            under_way.end(bytes);
          });
  }
  while (!under_way.is_over()) co_await under_way;
}

}  // namespace

Task<std::vector<Result<Pin>>> get_batch(Job& job, Channel& channel, MemberId owner,
                                         std::vector<Entry> entries, Want want, Deadline deadline) {
  Batch batch{job, channel, owner, std::move(entries), want, deadline, {}};
  batch.results.resize(batch.entries.size());
  for (std::size_t i = 0; i < batch.entries.size(); ++i) batch.leave_open(i);
  ViewOf mapping(job, channel, owner, deadline);
  const auto view = co_await mapping;
  if (!view)
    for (auto& result : batch.results) result = tl::unexpected(view.error());
  else if (*view != nullptr)
    take_mapped(batch, **view);
  else
    co_await take_runs(batch);

  std::vector<ObjectId> open;
  for (std::size_t i = 0; i < batch.entries.size(); ++i)
    if (batch.is_open(i)) open.push_back(batch.entries[i].id);
  if (open.size() > 1) spawn(prefetch(job, channel, owner, std::move(open)), [] {});
  co_await take_singly(batch);
  co_return std::move(batch.results);
}

}  // namespace holdfast
