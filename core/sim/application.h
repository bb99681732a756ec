// What a member's program does with its store, as coroutines: the public interface's calls for whom nobody
// blocks. Over the same protocols as Member; where Member takes a short way past its lanes, so does this.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/base/task.h"
#include "src/agent.h"
#include "src/channel.h"
#include "src/draft_state.h"
#include "src/job.h"
#include "src/protocols.h"
#include "src/wait_many.h"

namespace holdfast::sim {

/// An ObjectRef.
struct Handle {
  Entry entry;
  std::shared_ptr<Reference> reference;
  explicit operator bool() const noexcept { return reference != nullptr; }
};

/// What an ObjectRef's token says.
struct PassedToken {
  Entry entry;
  std::uint64_t owner_incarnation = 0;
  TokenId token;
};

/// All calls as those of Store with their names, and their errors. Operations that are under way when the
/// member ends are told timed_out.
class Application {
 public:
  /// `channel` is for this alone. All outlive it, and it outlives what it has started.
  Application(Job& job, Agent& agent, Channel& channel, PutOptions::Checksum checksum)
      : job_(job), agent_(agent), channel_(channel), checksum_(checksum) {}

  /// Waits for room, in line; on `node`, or the first one of the topology.
  Task<Result<std::unique_ptr<DraftState>>> draft(std::uint64_t size, std::vector<Handle> parts,
                                                  std::optional<numa::NodeId> node, Duration timeout);
  Handle promise(DraftState& draft);
  void abandon(std::unique_ptr<DraftState> draft);
  Task<Result<Handle>> seal(std::unique_ptr<DraftState> draft, std::optional<Key> name, Duration timeout);
  Task<Result<Handle>> put(std::vector<std::byte> bytes, std::optional<Key> name, Duration timeout);

  Task<Result<Pin>> get(Target target, std::optional<ByteRange> range, GetOptions::Missing missing,
                        Duration timeout);
  /// Waits for what is not there yet; called off as Op::cancel() does it.
  Task<Result<Pin>> get(Target target, std::shared_ptr<Cancellation> cancellation, Duration timeout);
  Task<Result<std::uint64_t>> get_into(Entry entry, std::span<std::byte> into, Duration timeout);
  /// All of one owner.
  Task<std::vector<Result<Pin>>> get_many(std::vector<Entry> entries, Duration timeout);
  /// Until it is sealed.
  Task<Result<Entry>> wait(Entry entry, Duration timeout);
  /// Until `count` are.
  Task<Result<WaitResult>> wait_many(std::vector<Entry> entries, std::size_t count, Duration timeout);
  Task<Result<Handle>> lookup(Key name, GetOptions::Missing missing, Duration timeout);

  PassedToken token(const Handle& handle);
  Task<Result<Handle>> redeem(PassedToken token, Duration timeout);

  void prefetch(const Entry& entry);
  /// Handles of what it declares to be part of it.
  Task<Result<std::vector<Handle>>> parts(Entry entry, Duration timeout);

  Task<Status> erase(Entry entry, Duration timeout);
  Task<Status> erase(Key name, Duration timeout);

  Task<Status> barrier(Duration timeout);
  /// The barriers that it has passed.
  std::uint64_t barriers() const noexcept { return barriers_; }

 private:
  Deadline after(Duration timeout) const { return Deadline::after(job_.clock, timeout); }
  MemberId self() const { return job_.peers->self(); }
  Task<Result<Handle>> enter(std::unique_ptr<DraftState> draft, std::optional<Key> name, Duration timeout);
  Task<Result<Handle>> hold(Entry entry, TokenId token, Deadline deadline);
  Task<Result<Block>> allocate_in_line(std::uint64_t bytes, std::uint64_t alignment,
                                       std::optional<numa::NodeId> node, Duration timeout);

  Job& job_;
  Agent& agent_;
  Channel& channel_;
  PutOptions::Checksum checksum_;
  std::deque<std::uint64_t> line_;  ///< puts that wait for room, in order
  std::uint64_t next_in_line_ = 0;
  std::uint64_t barriers_ = 0;
};

}  // namespace holdfast::sim
