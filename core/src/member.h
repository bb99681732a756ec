// A process's membership in a job: everything behind a Store.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/fabric/launch.h"
#include "holdfast/store.h"
#include "src/agent.h"
#include "src/agent_thread.h"
#include "src/draft_state.h"
#include "src/job.h"
#include "src/lanes.h"
#include "src/protocols.h"
#include "src/spiller.h"

namespace holdfast {

class Member : public std::enable_shared_from_this<Member> {
 public:
  static Result<std::shared_ptr<Member>> open(const StoreOptions& options);
  ~Member();

  std::uint32_t rank() const noexcept { return job_.peers->self().value; }
  std::uint32_t size() const noexcept { return job_.peers->size(); }
  std::string_view job_name() const noexcept { return job_.name; }
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
  Status close();

  // --- putting (member_put.cpp)
  Result<Draft> draft(std::uint64_t size, const PutOptions& options);
  Result<ObjectRef> put(std::optional<Key> name, std::span<const std::byte> bytes, const PutOptions& options);
  Result<ObjectRef> seal(DraftState& draft, std::optional<Key> name);
  void drop(DraftState& draft);
  ObjectRef ref_of(DraftState& draft);
  Status erase(const ObjectRef& ref, Duration timeout);
  Status erase(const Key& name, Duration timeout);

  // --- getting (member_get.cpp)
  Result<Pin> get(const Target& target, const std::optional<ByteRange>& range, Duration timeout,
                  const GetOptions& options);
  std::shared_ptr<detail::OpValue<Pin>> fetch(const Target& target, const GetOptions& options);
  Result<std::uint64_t> get_into(const Entry& entry, std::span<std::byte> buffer, Duration timeout,
                                 const GetOptions& options);
  std::vector<Result<Pin>> get_many(std::span<const Entry> entries, Duration timeout,
                                    const GetOptions& options);
  Result<WaitResult> wait(std::span<const Entry> entries, std::size_t count, Duration timeout);
  Result<ObjectRef> lookup(const Key& name, Duration timeout, const GetOptions& options);
  Result<ObjectRef> find(const ObjectId& id, Duration timeout);
  Result<bool> contains(const Target& target, Duration timeout);
  void prefetch(std::span<const Entry> entries);
  bool is_ready(const Entry& entry);
  Status barrier(Duration timeout);

  // --- references (reference.cpp)
  /// Errors: invalid (empty, or of another job).
  Result<Entry> entry_of(const ObjectRef& ref, std::string_view operation) const;
  Result<ObjectRef> redeem(std::string_view token, Duration timeout);
  std::string token_of(const ObjectRef& ref);
  Result<std::vector<ObjectRef>> parts(const Entry& entry, Duration timeout);
  Result<std::string> why(const Entry& entry, Duration timeout);
  /// What an object that declares `refs` keeps. Errors: invalid.
  Result<std::vector<Part>> as_parts(std::span<const ObjectRef> refs) const;
  /// A reference of this process to an object that is kept until now by something else: a token, a name.
  /// Errors: not_found, expired, timed_out, owner_lost.
  Result<ObjectRef> hold(const Entry& entry, const TokenId& token, Duration timeout);

  /// Has what lanes still have under way for operations that were cancelled moved to its end.
  void drive_abandoned() { agent_->drive_lanes(); }

  Stats stats();
  Job& job() noexcept { return job_; }

 private:
  Member(const Clock& clock, const StoreOptions& options);
  Status join(fabric::Launch& launch, Deadline deadline);
  Status start_spilling(std::vector<std::unique_ptr<Disk>> disks);
  Status start(const fabric::Identity& identity, std::unique_ptr<fabric::Endpoint> endpoint,
               std::vector<RegionKey> regions, const Block& catalogue, std::vector<Card> cards);
  ObjectRef make_ref(const Entry& entry, std::shared_ptr<Reference> reference) const;
  Want want(const GetOptions& options, Duration timeout, const std::optional<ByteRange>& range = {}) const;

  std::optional<numa::NodeId> node_for(const PutOptions& options);
  Result<ObjectRef> enter(DraftState& draft, const std::optional<Key>& name);

  /// Runs a protocol on the calling thread's lane until it ends (run.h). `bytes`: what it moves, for the time
  /// to spin. `start(channel, done)` spawns it and has `done` called with its result.
  template <class T, class Start>
  Result<T> run(std::uint64_t bytes, Start start);
  /// The same for what gives no value: `start(channel)` makes its task.
  template <class Start>
  Status run(Start start);

  Job job_;
  std::unique_ptr<fabric::Launch>
      launch_;  ///< kept: some launchers end the job when a rank leaves them early
  std::unique_ptr<fabric::Fabric> fabric_;
  std::unique_ptr<Lanes> lanes_;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<AgentThread> agent_thread_;
  std::unique_ptr<SpillThread> spill_;  ///< null without directories to spill to
  std::atomic<std::uint64_t> barriers_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace holdfast
