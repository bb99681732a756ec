#include "src/wait_many.h"

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "src/protocols.h"

namespace holdfast {
namespace {

// With each owner: what is looked up, or on its way to be asked for. A network refuses what it has too much
// of, and a silent owner must not hold up the others.
constexpr std::size_t kMostAtOnce = 256;

// Before an owner that has more waiters than it can keep is asked again.
constexpr Duration kPause = std::chrono::milliseconds(100);

/// So many at once may go on; the others wait their turn. Kept by whoever has a place.
class Turns : public std::enable_shared_from_this<Turns> {
 public:
  /// co_await it: a place, which is free again when the last copy goes.
  struct Awaiter {
    Turns& turns;
    bool await_ready() const noexcept { return turns.free_ > 0; }
    void await_suspend(std::coroutine_handle<> waiting) { turns.waiting_.push_back(waiting); }
    std::shared_ptr<void> await_resume() {
      --turns.free_;
      return {nullptr, [all = turns.shared_from_this()](std::nullptr_t) { all->one_is_free(); }};
    }
  };
  Awaiter turn() noexcept { return {*this}; }

 private:
  void one_is_free() {
    ++free_;
    // Whoever goes on may call this again: not one within the other, without end.
    if (std::exchange(giving_, true)) return;
    while (free_ > 0 && !waiting_.empty()) {
      const auto next = waiting_.front();
      waiting_.pop_front();
      next.resume();
    }
    giving_ = false;
  }

  std::size_t free_ = kMostAtOnce;
  bool giving_ = false;
  std::deque<std::coroutine_handle<>> waiting_;
};

/// Shared with the protocols: reads that are under way end after the wait.
struct Awaited {
  std::vector<bool> ready;
  std::size_t count = 0;  ///< of those that are ready
  std::size_t enough = 0;
  std::size_t open = 0;  ///< not decided yet
  std::optional<Error> error;
  Cancellation rest;
  std::map<MemberId, std::shared_ptr<Turns>> turns;
  std::coroutine_handle<> waiting;

  bool is_over() const noexcept { return count >= enough || open == 0; }
  static bool never_comes(Code code, LateOnes late) noexcept {
    return code == Code::owner_lost || (code == Code::not_found && late == LateOnes::waited_for);
  }
  static bool is_pending(Code code) noexcept {
    return code == Code::not_found || code == Code::timed_out || code == Code::full;
  }
  void decide(std::size_t which, const Result<Entry>& found, LateOnes late) {
    --open;
    if (found || never_comes(found.error().code, late)) {
      ready[which] = true;
      ++count;
    } else if (!is_pending(found.error().code) && !error) {
      error = found.error();
    }
    if (is_over() && waiting) std::exchange(waiting, {}).resume();
  }
};

/// co_await it: until it is over.
struct Over {
  Awaited& awaited;
  bool await_ready() const noexcept { return awaited.is_over(); }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { awaited.waiting = waiting; }
  void await_resume() const noexcept {}
};

Task<Result<Entry>> await_one(Job& job, Channel& channel, std::shared_ptr<Awaited> all, Entry entry,
                              LateOnes late, Deadline deadline) {
  const std::shared_ptr<Turns> turns = all->turns[entry.owner];
  for (;;) {
    auto turn = turns->turn();
    std::shared_ptr<void> place = co_await turn;
    if (all->rest.requested()) co_return fail(Code::timed_out, "Store::wait", "called off");
    const Waiting waiting{late == LateOnes::waited_for, &all->rest};
    auto found =
        co_await find_object(job, channel, entry.owner, entry.id, waiting, deadline, std::move(place));
    if (found || found.error().code != Code::full || !waiting.allowed) co_return found;
    if (all->rest.requested() || deadline.passed(job.clock) || channel.closing()) co_return found;
    co_await channel.sleep(std::min(deadline.time(), job.clock.now() + kPause));
    if (channel.closing()) co_return found;
  }
}

}  // namespace

Task<Result<WaitResult>> wait_many(Job& job, Channel& channel, std::vector<Entry> entries, std::size_t count,
                                   LateOnes late, Deadline deadline) {
  const auto all = std::make_shared<Awaited>();
  all->ready.resize(entries.size());
  all->open = entries.size();
  all->enough = count;
  for (const Entry& entry : entries) {
    auto& turns = all->turns[entry.owner];
    if (!turns) turns = std::make_shared<Turns>();
  }
  for (std::size_t i = 0; i < entries.size(); ++i)
    spawn(await_one(job, channel, all, entries[i], late, deadline),
          [all, i, late](const Result<Entry>& found) { all->decide(i, found, late); });
  Over over{*all};
  co_await over;
  const bool failed = all->count < count && all->error;
  WaitResult result;
  for (std::size_t i = 0; i < entries.size(); ++i)
    (all->ready[i] ? result.ready : result.pending).push_back(i);
  all->rest.request();
  if (failed) co_return tl::unexpected(*all->error);
  co_return result;
}

}  // namespace holdfast
