// Getting, waiting and looking up.
#include <fmt/format.h>

#include <algorithm>

#include "src/get_remote.h"
#include "src/lane_op.h"
#include "src/member.h"
#include "src/run.h"
#include "src/wait_many.h"

namespace holdfast {
namespace {

// How long a look at a catalogue may take that is not to wait for anything.
constexpr Duration kLookTimeout = std::chrono::seconds(1);

std::uint64_t bytes_expected(const Target& target, const std::optional<ByteRange>& range) {
  if (range) return range->bytes;
  const Entry* const entry = std::get_if<Entry>(&target);
  return entry == nullptr ? 0 : entry->layout.size;
}

/// Gives what was there at once.
class ReadyPin final : public detail::OpValue<Pin> {
 public:
  explicit ReadyPin(Result<Pin> pin) : pin_(std::move(pin)) {}
  bool done() const noexcept override { return true; }
  const void* engine() const noexcept override { return nullptr; }
  void drive(Deadline, const std::function<bool()>&) override {}
  void cancel() noexcept override { pin_ = fail(Code::invalid, "Op::wait", "the operation was cancelled"); }
  Result<Pin> take() override { return std::move(pin_); }

 private:
  Result<Pin> pin_;
};

bool waits(const GetOptions& options, Duration timeout) {
  return options.missing == GetOptions::Missing::wait && timeout > Duration::zero();
}

}  // namespace

Want Member::want(const GetOptions& options, Duration timeout, const std::optional<ByteRange>& range) const {
  return {
      range, options.verify.value_or(job_.options.verify), {waits(options, timeout)}, patience_for(timeout)};
}

Result<Pin> Member::get(const Target& target, const std::optional<ByteRange>& range, Duration timeout,
                        const GetOptions& options) {
  // What is mapped here needs no channel, no clock and no coroutine.
  if (const Entry* const entry = std::get_if<Entry>(&target)) {
    if (View* const view = job_.memory->view(entry->owner);
        view != nullptr && !view->lost.load(std::memory_order_acquire)) {
      Pin pin;
      HOLDFAST_TRY(const bool there, get_local(job_, *view, *entry, want(options, timeout, range), pin));
      if (there) return pin;
    }
  }
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  return run<Pin>(bytes_expected(target, range), [&](Channel& channel, auto done) {
    spawn(get_pin(job_, channel, target, want(options, timeout, range), deadline), done);
  });
}

std::shared_ptr<detail::OpValue<Pin>> Member::fetch(const Target& target, const GetOptions& options) {
  if (const Entry* const entry = std::get_if<Entry>(&target)) {
    View* const view = job_.memory->view(entry->owner);
    if (view != nullptr && !view->lost.load(std::memory_order_acquire)) {
      Pin pin;
      auto there = get_local(job_, *view, *entry, want(options, options.timeout), pin);
      if (!there) return std::make_shared<ReadyPin>(tl::unexpected(std::move(there).error()));
      if (*there) return std::make_shared<ReadyPin>(std::move(pin));
    }
  }
  auto lane = lanes_->mine();
  if (!lane) return std::make_shared<ReadyPin>(tl::unexpected(std::move(lane).error()));
  auto op = std::make_shared<LaneOp<Pin>>(shared_from_this(), **lane, spin_for(bytes_expected(target, {})));
  const Deadline deadline = Deadline::after(job_.clock, options.timeout);
  (*lane)->run([&](Channel& channel) {
    Want wanted = want(options, options.timeout);
    wanted.waiting.cancellation = &op->cancellation();
    spawn(get_pin(job_, channel, target, wanted, deadline),
          [op](Result<Pin> pin) { op->finish(std::move(pin)); });
  });
  return op;
}

Result<std::uint64_t> Member::get_into(const Entry& entry, std::span<std::byte> buffer, Duration timeout,
                                       const GetOptions& options) {
  if (buffer.size() < entry.layout.size)
    return fail(Code::invalid, "Store::get_into",
                fmt::format("the buffer of {} bytes is too small for the object of {}", buffer.size(),
                            entry.layout.size));
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  return run<std::uint64_t>(entry.layout.size, [&](Channel& channel, auto done) {
    spawn(get_copy(job_, channel, entry, want(options, timeout), buffer, deadline), done);
  });
}

std::vector<Result<Pin>> Member::get_many(std::span<const Entry> entries, Duration timeout,
                                          const GetOptions& options) {
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  const Want wanted = want(options, timeout);
  std::vector<Result<Pin>> pins;
  pins.reserve(entries.size());
  // What is not found where it is mapped already: on disk, not sealed yet, erased; or its owner is read by
  // fabric, or was not met before.
  std::map<MemberId, std::vector<std::size_t>> elsewhere;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Pin pin;
    Result<bool> there = false;
    if (View* const view = job_.memory->view(entries[i].owner);
        view != nullptr && !view->lost.load(std::memory_order_acquire))
      there = get_local(job_, *view, entries[i], wanted, pin);
    if (!there) {
      pins.push_back(tl::unexpected(std::move(there).error()));
    } else {
      if (!*there) elsewhere[entries[i].owner].push_back(i);
      pins.push_back(std::move(pin));
    }
  }
  if (elsewhere.empty()) return pins;
  auto lane = lanes_->mine();
  if (!lane) {
    for (const auto& [owner, indices] : elsewhere)
      for (const std::size_t i : indices) pins[i] = tl::unexpected(lane.error());
    return pins;
  }
  // All owners at once; each with its own reads in flight.
  std::size_t outstanding = elsewhere.size();
  std::uint64_t bytes = 0;
  (*lane)->run([&](Channel& channel) {
    for (const auto& [owner, indices] : elsewhere) {
      std::vector<Entry> batch;
      for (const std::size_t i : indices) {
        batch.push_back(entries[i]);
        bytes += entries[i].layout.size;
      }
      spawn(get_batch(job_, channel, owner, std::move(batch), wanted, deadline),
            [&pins, &outstanding, &places = indices](std::vector<Result<Pin>> results) {
              for (std::size_t k = 0; k < results.size(); ++k) pins[places[k]] = std::move(results[k]);
              --outstanding;
            });
    }
  });
  (*lane)->drive([&] { return outstanding == 0; }, Deadline::never(), spin_for(bytes));
  return pins;
}

void Member::prefetch(std::span<const Entry> entries) {
  std::map<MemberId, std::vector<ObjectId>> by_owner;
  for (const Entry& entry : entries) by_owner[entry.owner].push_back(entry.id);
  auto lane = lanes_->mine();
  if (!lane) return;  // the gets will say why
  (*lane)->run([&](Channel& channel) {
    for (auto& [owner, ids] : by_owner) {
      (*lane)->abandoned();  // nobody waits for it, and perhaps nobody drives the lane soon
      spawn(holdfast::prefetch(job_, channel, owner, std::move(ids)),
            [lane = *lane] { lane->abandoned_ended(); });
    }
  });
  drive_abandoned();
}

bool Member::is_ready(const Entry& entry) {
  const auto there = contains(entry, kLookTimeout);
  return there && *there;
}

Result<bool> Member::contains(const Target& target, Duration timeout) {
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  const auto found = run<Entry>(0, [&](Channel& channel, auto done) {
    if (const Key* const name = std::get_if<Key>(&target)) {
      spawn(resolve(job_, channel, *name, {}, deadline), done);
    } else {
      const Entry& entry = std::get<Entry>(target);
      spawn(find_object(job_, channel, entry.owner, entry.id, {}, deadline), done);
    }
  });
  if (found) return true;
  if (found.error().code == Code::not_found) return false;
  return tl::unexpected(found.error());
}

Result<WaitResult> Member::wait(std::span<const Entry> entries, std::size_t count, Duration timeout) {
  if (count > entries.size())
    return fail(Code::invalid, "Store::wait",
                fmt::format("cannot wait for {} of {} references", count, entries.size()));
  // Without time to wait, each is looked up once: a read of its owner's catalogue, and no message.
  const bool waits = timeout > Duration::zero();
  const Deadline deadline = Deadline::after(job_.clock, waits ? timeout : kLookTimeout);
  return run<WaitResult>(0, [&](Channel& channel, auto done) {
    spawn(wait_many(job_, channel, {entries.begin(), entries.end()}, count,
                    waits ? LateOnes::waited_for : LateOnes::pending, deadline),
          done);
  });
}

Result<ObjectRef> Member::lookup(const Key& name, Duration timeout, const GetOptions& options) {
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  HOLDFAST_TRY(const Entry entry, run<Entry>(0, [&](Channel& channel, auto done) {
                 spawn(resolve(job_, channel, name, {waits(options, timeout)}, deadline), done);
               }));
  // Its name keeps it until it is held; one that was erased meanwhile is not found.
  return hold(entry, {}, deadline.left(job_.clock));
}

Result<ObjectRef> Member::find(const ObjectId& id, Duration timeout) {
  const auto owner = job_.peers->of_incarnation(id.high);
  if (!owner)
    return fail(Code::invalid, "Store::find",
                fmt::format("object {} is of another job, or of an earlier life of its owner", id.to_hex()));
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  HOLDFAST_TRY(const Entry entry, run<Entry>(0, [&](Channel& channel, auto done) {
                 spawn(find_object(job_, channel, *owner, id, {}, deadline), done);
               }));
  return hold(entry, {}, deadline.left(job_.clock));
}

Status Member::barrier(Duration timeout) {
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  // The same one again after it was given up: others may have passed it.
  const std::uint64_t number = barriers_.load(std::memory_order_relaxed);
  HOLDFAST_DO(run([&](Channel& channel) { return pass_barrier(job_, channel, number, deadline); }));
  barriers_.store(number + 1, std::memory_order_relaxed);
  return {};
}

}  // namespace holdfast
