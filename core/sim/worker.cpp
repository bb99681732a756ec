#include "sim/worker.h"

#include <cmath>

#include "src/peers.h"

namespace holdfast::sim {
namespace {

// In virtual time: what does not end by then never would.
constexpr Duration kPatience = std::chrono::hours(10);

Key letter_name(std::uint32_t from, std::uint32_t to) { return key_of(name("letter", from, to)).value(); }
Key object_name(const ObjectNumber& of) { return key_of(name("object", of.owner, of.index)).value(); }

}  // namespace

/// co_await it: the thread computes for so long.
class Worker::Busy {
 public:
  Busy(Worker& worker, Duration time) noexcept : worker_(worker), time_(time) {}
  bool await_ready() const noexcept { return time_ <= Duration::zero(); }
  void await_suspend(std::coroutine_handle<> waiting) {
    Cluster& cluster = worker_.cluster_;
    const TimePoint end = cluster.network().work(worker_.life_.application_endpoint(), time_);
    // The coroutine's frame, and the awaiter in it, may be gone when resume() returns.
    cluster.timeline().at(end, [waiting, &life = worker_.life_] {
      waiting.resume();
      life.nudge();
    });
  }
  void await_resume() const noexcept {}

 private:
  Worker& worker_;
  const Duration time_;
};

/// co_await it: until no more than `most` are under way.
class Worker::Window::Wait {
 public:
  Wait(Window& window, std::uint32_t most) noexcept : window_(window), most_(most) {}
  bool await_ready() const noexcept { return window_.under_way_ <= most_; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept {
    window_.wanted_ = most_;
    window_.waiting_ = waiting;
  }
  void await_resume() const noexcept {}

 private:
  Window& window_;
  const std::uint32_t most_;
};

Worker::Window::Wait Worker::Window::room() noexcept { return {*this, most_ - 1}; }
Worker::Window::Wait Worker::Window::all_ended() noexcept { return {*this, 0}; }

void Worker::Window::end(Status status) {
  --under_way_;
  if (!status && status_) status_ = std::move(status);
  if (!waiting_ || under_way_ > wanted_) return;
  std::exchange(waiting_, {}).resume();
}

Worker::Worker(Cluster& cluster, Script& script, std::uint32_t rank)
    : cluster_(cluster),
      script_(script),
      workload_(script.options.workload),
      rank_(rank),
      life_(*cluster.life({rank})),
      application_(life_.application()),
      window_(workload_.in_flight) {}

Worker::Busy Worker::busy(Duration time) { return {*this, time}; }

Worker::Busy Worker::choose_home() {
  return busy(Duration(std::llround(script_.options.work.name_ns_per_member * workload_.members)));
}

void Worker::drop_all() {
  own_.clear();
  held_.clear();
  redeemed_.clear();
}

Path Worker::path_from(std::uint32_t owner) const {
  if (owner == rank_) return Path::own_memory;
  const Network& network = cluster_.network();
  switch (network.link_class(cluster_.host({rank_}), cluster_.host({owner}))) {
    case LinkClass::same_host:
      return script_.options.same_host == SameHost::memory ? Path::host_memory : Path::host_fabric;
    case LinkClass::same_rack:
      return Path::same_rack;
    case LinkClass::across_racks:
      break;
  }
  return Path::across_racks;
}

void Worker::note_get(std::uint32_t owner, std::uint64_t bytes) {
  PathTraffic& traffic = tally_.paths[static_cast<std::size_t>(path_from(owner))];
  ++traffic.gets;
  traffic.payload_bytes += bytes;
  ++tally_.gets;
  tally_.get_bytes += bytes;
}

Task<Result<Handle>> Worker::put(std::uint64_t bytes, std::optional<Key> name) {
  co_await busy(script_.options.work.put.of(bytes));
  if (name) co_await choose_home();
  auto handle = co_await application_.put(std::vector<std::byte>(bytes), name, kPatience);
  co_return handle;
}

/// One that is in memory here costs the thread's time; one that is not, what the network charges.
Task<Status> Worker::get(Target target, std::uint32_t owner, std::uint64_t bytes) {
  if (std::holds_alternative<Key>(target)) co_await choose_home();
  const auto pin = co_await application_.get(target, {}, GetOptions::Missing::wait, kPatience);
  if (!pin) co_return tl::unexpected(pin.error());
  if (pin->size() != bytes)
    co_return fail(Code::corrupt, "simulate", "an object came back with another size than it was put with");
  const Path path = path_from(owner);
  const WorkCosts& costs = script_.options.work;
  if (path == Path::own_memory) co_await busy(costs.get_own.of(bytes));
  if (path == Path::host_memory) co_await busy(costs.get_shared.of(bytes));
  co_return Status{};
}

void Worker::start_get(Target target, std::uint32_t owner) {
  window_.begin();
  spawn(get(target, owner, workload_.object_bytes), [this, owner](Status got) {
    if (got) note_get(owner, workload_.object_bytes);
    window_.end(std::move(got));
  });
}

Task<Status> Worker::put_all() {
  Status done;
  if (workload_.pattern == Pattern::shuffle)
    done = co_await put_shuffle();
  else
    done = co_await put_named();
  co_return done;
}

Task<Status> Worker::put_shuffle() {
  auto& to_whom = script_.tokens[rank_];
  to_whom.resize(workload_.members);
  for (std::uint32_t i = 1; i < workload_.members; ++i) {
    const std::uint32_t to = (rank_ + i) % workload_.members;
    for (std::uint32_t k = 0; k < workload_.objects; ++k) {
      HOLDFAST_CO_TRY(Handle handle, co_await put(workload_.object_bytes, {}));
      to_whom[to].push_back(application_.token(handle));
      ++tally_.puts;
      tally_.put_bytes += workload_.object_bytes;
    }
    HOLDFAST_CO_TRY(Handle letter,
                    co_await put(std::uint64_t{workload_.objects} * kTokenBytes, letter_name(rank_, to)));
  }
  co_return Status{};
}

Task<Status> Worker::put_named() {
  const std::uint64_t count = workload_.objects_of(rank_);
  for (std::uint32_t k = 0; k < count; ++k) {
    HOLDFAST_CO_TRY(Handle handle, co_await put(workload_.object_bytes, object_name({rank_, k})));
    own_.push_back(std::move(handle));
    ++tally_.puts;
    tally_.put_bytes += workload_.object_bytes;
  }
  co_return Status{};
}

Task<Status> Worker::get_all() {
  Status done;
  if (workload_.pattern == Pattern::shuffle) {
    for (std::uint32_t i = 1; i < workload_.members && done; ++i)
      done = co_await get_letter((rank_ + workload_.members - i) % workload_.members);
  } else if (workload_.pattern == Pattern::broadcast) {
    done = co_await get_broadcast();
  } else {
    done = co_await get_drawn();
  }
  co_await window_.all_ended();
  if (done) done = window_.first_error();
  co_return done;
}

Task<Status> Worker::get_letter(std::uint32_t from) {
  const Key letter = letter_name(from, rank_);
  HOLDFAST_CO_DO(co_await get(letter, from, std::uint64_t{workload_.objects} * kTokenBytes));
  for (const PassedToken& token : script_.tokens[from][rank_]) {
    HOLDFAST_CO_TRY(Handle handle, co_await application_.redeem(token, kPatience));
    redeemed_.push_back(std::move(handle));
  }
  for (const Handle& handle : redeemed_) {
    co_await window_.room();
    start_get(handle.entry, from);
  }
  co_await window_.all_ended();
  redeemed_.clear();
  co_await choose_home();
  Status erased = co_await application_.erase(letter, kPatience);
  co_return erased;
}

Task<Status> Worker::get_broadcast() {
  for (std::uint32_t k = 0; rank_ != 0 && k < workload_.objects; ++k) {
    co_await window_.room();
    start_get(object_name({0, k}), 0);
  }
  co_return Status{};
}

Task<Status> Worker::get_drawn() {
  for (const std::uint32_t number : script_.draws.of(rank_)) {
    const ObjectNumber object = object_number(workload_, number);
    if (!held_.contains(number)) {
      co_await choose_home();
      HOLDFAST_CO_TRY(Handle handle, co_await application_.lookup(object_name(object),
                                                                  GetOptions::Missing::wait, kPatience));
      held_.emplace(number, std::move(handle));
    }
    co_await window_.room();
    start_get(held_.at(number).entry, object.owner);
  }
  co_return Status{};
}

}  // namespace holdfast::sim
