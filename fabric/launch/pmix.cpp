// PMIx (https://pmix.github.io/pmix-standard/, version 3 and later): mpirun of Open MPI, srun --mpi=pmix,
// and other managers. The only file that includes pmix.h.
#include <fmt/format.h>
#include <pmix.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "fabric/launch/launchers.h"

namespace holdfast::fabric::launch {
namespace {

using namespace std::chrono_literals;

/// After a deadline has passed: how long the server may take to say who was there.
constexpr Duration kInquest = 2s;
/// Most ranks that are asked after then.
constexpr std::uint32_t kMaxInquest = 1024;

/// Exchanges this process has begun; part of the key, since PMIx keeps the first value of each key it gave
/// out. All ranks open their stores together, so it is the same everywhere.
std::atomic<std::uint32_t> rounds_begun{0};

tl::unexpected<Error> pmix_error(std::string_view operation, std::string_view call, pmix_status_t status) {
  return fail(Code::system, operation,
              fmt::format("{}: {} ({}); is this process still under the launcher that set PMIX_NAMESPACE? "
                          "HOLDFAST_LAUNCHER=alone starts without it",
                          call, PMIx_Error_string(status), status));
}

/// This process's tie to its PMIx server. Kept until exit: PMIx counts its users, MPI may be one of them, and
/// a server takes a process that leaves without a finalize for a crash and ends the job.
class Session {
 public:
  static Result<pmix_proc_t> get() {
    static std::mutex guard;
    static Session session;
    const std::lock_guard lock(guard);
    if (session.open_) return session.me_;
    if (const pmix_status_t status = PMIx_Init(&session.me_, nullptr, 0); status != PMIX_SUCCESS)
      return pmix_error(kOperation, "PMIx_Init", status);
    session.open_ = true;
    session.process_ = ::getpid();
    return session.me_;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  Session() = default;
  ~Session() {
    // Not in a forked child that leaves through exit(): the tie is its parent's.
    if (open_ && process_ == ::getpid()) PMIx_Finalize(nullptr, 0);
  }

  pmix_proc_t me_{};
  pid_t process_ = 0;
  bool open_ = false;
};

/// What callbacks on PMIx's thread report to. Shared with each pending callback, so that one which comes
/// after the deadline finds it alive.
class Pending {
 public:
  explicit Pending(std::size_t count) : done_(count, false) {}

  void finish(std::size_t index, pmix_status_t status) {
    const std::lock_guard lock(guard_);
    done_[index] = true;
    if (status != PMIX_SUCCESS) {
      failed_.push_back(index);
      status_ = status;
    }
    ++finished_;
    changed_.notify_all();
  }

  /// Until all have finished, or the deadline. False: the deadline passed.
  bool wait(Deadline deadline, const Clock& clock) {
    std::unique_lock lock(guard_);
    while (finished_ < done_.size()) {
      if (deadline.passed(clock)) return false;
      // In steps, since the clock may be one that this thread cannot wait on.
      changed_.wait_for(lock, std::min<Duration>(deadline.left(clock), 100ms));
    }
    return true;
  }

  pmix_status_t status() {
    const std::lock_guard lock(guard_);
    return status_;
  }
  std::vector<std::uint32_t> not_succeeded() {
    const std::lock_guard lock(guard_);
    std::vector<bool> good = done_;
    for (const std::size_t index : failed_) good[index] = false;
    std::vector<std::uint32_t> ranks;
    for (std::size_t i = 0; i < good.size(); ++i)
      if (!good[i]) ranks.push_back(static_cast<std::uint32_t>(i));
    return ranks;
  }

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  std::vector<bool> done_;
  std::vector<std::size_t> failed_;
  std::size_t finished_ = 0;
  pmix_status_t status_ = PMIX_SUCCESS;
};

/// What a callback is handed; it deletes it.
struct Ticket {
  std::shared_ptr<Pending> pending;
  std::size_t index;
  void finish(pmix_status_t status) {
    pending->finish(index, status);
    delete this;
  }
};

/// A pmix_info_t that frees what it holds.
class Info {
 public:
  template <class T>
  Info(const char* key, const T& value, pmix_data_type_t type) {
    PMIX_INFO_LOAD(&info_, key, &value, type);
  }
  Info(const Info&) = delete;
  Info& operator=(const Info&) = delete;
  ~Info() { PMIX_INFO_DESTRUCT(&info_); }
  const pmix_info_t* get() const { return &info_; }

 private:
  pmix_info_t info_{};
};

class Pmix final : public Launch {
 public:
  Pmix(pmix_proc_t me, std::uint32_t size, const Clock& clock) : me_(me), clock_(clock) {
    identity_ = {.rank = me.rank, .size = size, .job = me.nspace, .launcher = "pmix"};
  }

  const Identity& identity() const noexcept override { return identity_; }

  Result<std::vector<std::string>> exchange(std::string_view card, Deadline deadline) override {
    HOLDFAST_DO(check_card(card));
    const std::string key = fmt::format("holdfast.card.{}", rounds_begun.fetch_add(1));
    HOLDFAST_DO(put(key, card));
    HOLDFAST_DO(fence(key, deadline));
    std::vector<std::string> cards(identity_.size);
    for (std::uint32_t rank = 0; rank < identity_.size; ++rank) {
      HOLDFAST_TRY(cards[rank], get(rank, key, deadline));
    }
    return cards;
  }

 private:
  Status put(const std::string& key, std::string_view card) {
    std::string bytes(card);
    pmix_value_t value{};
    value.type = PMIX_BYTE_OBJECT;
    value.data.bo.bytes = bytes.data();  // PMIx_Put copies
    value.data.bo.size = bytes.size();
    if (const pmix_status_t status = PMIx_Put(PMIX_GLOBAL, key.c_str(), &value); status != PMIX_SUCCESS)
      return pmix_error(kExchange, "PMIx_Put", status);
    if (const pmix_status_t status = PMIx_Commit(); status != PMIX_SUCCESS)
      return pmix_error(kExchange, "PMIx_Commit", status);
    return {};
  }

  Status fence(const std::string& key, Deadline deadline) {
    const auto pending = std::make_shared<Pending>(1);
    const Info collect(PMIX_COLLECT_DATA, true, PMIX_BOOL);
    const pmix_proc_t everyone = proc(PMIX_RANK_WILDCARD);
    auto* const ticket = new Ticket{pending, 0};
    const pmix_status_t status = PMIx_Fence_nb(
        &everyone, 1, collect.get(), 1,
        [](pmix_status_t result, void* data) { static_cast<Ticket*>(data)->finish(result); }, ticket);
    if (status == PMIX_OPERATION_SUCCEEDED) {
      delete ticket;  // done within the call, no callback comes
      return {};
    }
    if (status != PMIX_SUCCESS) {
      delete ticket;
      return pmix_error(kExchange, "PMIx_Fence", status);
    }
    if (!pending->wait(deadline, clock_)) return timed_out(key);
    if (pending->status() != PMIX_SUCCESS) return pmix_error(kExchange, "PMIx_Fence", pending->status());
    return {};
  }

  Result<std::string> get(std::uint32_t rank, const std::string& key, Deadline deadline) {
    // Whole seconds, and none means no limit.
    const auto left = std::chrono::ceil<std::chrono::seconds>(deadline.left(clock_));
    const int seconds = static_cast<int>(std::clamp<std::int64_t>(left.count(), 1, 1 << 20));
    const Info limit(PMIX_TIMEOUT, seconds, PMIX_INT);
    const pmix_proc_t peer = proc(rank);
    pmix_value_t* value = nullptr;
    const pmix_status_t status = PMIx_Get(&peer, key.c_str(), limit.get(), 1, &value);
    if (status == PMIX_ERR_TIMEOUT)
      return fail(Code::timed_out, kExchange,
                  fmt::format("the card of rank {} did not arrive in time", rank));
    if (status != PMIX_SUCCESS)
      return pmix_error(kExchange, fmt::format("PMIx_Get of rank {}", rank), status);
    std::string card;
    const bool sound = value->type == PMIX_BYTE_OBJECT;
    if (sound && value->data.bo.size > 0) card.assign(value->data.bo.bytes, value->data.bo.size);
    PMIX_VALUE_RELEASE(value);
    if (!sound) return fail(Code::system, kExchange, fmt::format("the card of rank {} is not bytes", rank));
    return card;
  }

  /// Asks the server whose cards it has.
  tl::unexpected<Error> timed_out(const std::string& key) {
    const std::uint32_t asked = std::min(identity_.size, kMaxInquest);
    const auto pending = std::make_shared<Pending>(asked);
    const Info now(PMIX_IMMEDIATE, true, PMIX_BOOL);
    for (std::uint32_t rank = 0; rank < asked; ++rank) {
      if (rank == identity_.rank) {
        pending->finish(rank, PMIX_SUCCESS);
        continue;
      }
      const pmix_proc_t peer = proc(rank);
      auto* const ticket = new Ticket{pending, rank};
      const pmix_status_t status = PMIx_Get_nb(
          &peer, key.c_str(), now.get(), 1,
          [](pmix_status_t result, pmix_value_t* /*value*/, void* data) {
            static_cast<Ticket*>(data)->finish(result);
          },
          ticket);
      if (status != PMIX_SUCCESS) ticket->finish(status);
    }
    pending->wait(Deadline::after(clock_, kInquest), clock_);
    const auto absent = pending->not_succeeded();
    const std::string who = absent.empty() ? std::string("a rank that is not known") : list_ranks(absent);
    return fail(
        Code::timed_out, kExchange,
        fmt::format("{} of job {} did not come to the exchange in time; are they running, and did they "
                    "get as far as opening their store?",
                    who, identity_.job));
  }

  pmix_proc_t proc(pmix_rank_t rank) const {
    pmix_proc_t made = me_;
    made.rank = rank;
    return made;
  }

  pmix_proc_t me_;
  const Clock& clock_;
  Identity identity_;
};

}  // namespace

Result<std::unique_ptr<Launch>> open_pmix(const Clock& clock) {
  HOLDFAST_TRY(const pmix_proc_t me, Session::get());
  pmix_proc_t job = me;
  job.rank = PMIX_RANK_WILDCARD;
  pmix_value_t* value = nullptr;
  if (const pmix_status_t status = PMIx_Get(&job, PMIX_JOB_SIZE, nullptr, 0, &value); status != PMIX_SUCCESS)
    return pmix_error(kOperation, "PMIx_Get of the job's size", status);
  const std::uint32_t size = value->type == PMIX_UINT32 ? value->data.uint32 : 0;
  PMIX_VALUE_RELEASE(value);
  if (size == 0 || size > kMaxRanks || me.rank >= size)
    return fail(Code::system, kOperation,
                fmt::format("the PMIx server says rank {} of {} ranks, which cannot be", me.rank, size));
  return std::make_unique<Pmix>(me, size, clock);
}

}  // namespace holdfast::fabric::launch
