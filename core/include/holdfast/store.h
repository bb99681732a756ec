// The store: put here, get there.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/draft.h"
#include "holdfast/name.h"
#include "holdfast/object_ref.h"
#include "holdfast/op.h"
#include "holdfast/options.h"
#include "holdfast/pin.h"
#include "holdfast/stats.h"

namespace holdfast {

class Member;

/// Indices into the references that were given to Store::wait, in their order.
struct WaitResult {
  std::vector<std::size_t> ready;
  std::vector<std::size_t> pending;
};

/// This process's membership in the job. Any thread may call anything, at the same time; only close() must be
/// the last. Movable; a moved-from or closed store answers invalid.
///
/// Timeouts count from the call. Zero does not wait: what needs no waiting is done, the rest gives timed_out
/// (or not_found for a name or object that is not there).
///
/// Errors that any call may give: invalid (closed, moved from, an empty reference, an empty or too long
/// name), system. Others stand at the call.
class Store {
 public:
  /// Joins the job that the launcher started (collective: all ranks must call it). Returns as soon as
  /// addresses are exchanged; memory is prefaulted in the background. Errors: timed_out naming the ranks that
  /// did not come; unsupported (required pages, no provider, members of different versions or providers);
  /// invalid (options, environment); denied (locked memory); system.
  static Result<Store> open(const StoreOptions& options);
  /// With StoreOptions::from_environment().
  static Result<Store> open();

  Store(Store&&) noexcept = default;
  Store& operator=(Store&&) noexcept;
  ~Store();  ///< closes

  std::uint32_t rank() const noexcept;
  std::uint32_t size() const noexcept;  ///< members in the job
  std::string_view job() const noexcept;

  // --- putting

  /// Memory to write an object of `size` bytes (0 is allowed) in place.
  /// Errors: full (with the sizes), invalid (larger than the arena, alignment).
  Result<Draft> draft(std::uint64_t size, const PutOptions& options = {});

  /// Copies `bytes` into the arena and seals them. Errors: as draft.
  Result<ObjectRef> put(std::span<const std::byte> bytes, const PutOptions& options = {});

  /// The same under a name; returns when the name's home has it.
  /// Errors: also exists, timed_out, owner_lost (the home cannot be reached); the object is gone then.
  Result<ObjectRef> put(const Name& name, std::span<const std::byte> bytes, const PutOptions& options = {});

  // --- getting
  //
  // Errors of all: not_found (erased; or not there and not waited for), timed_out, owner_lost, corrupt,
  // full (no room in this arena for a copy, or too many pins).

  Result<Pin> get(const ObjectRef& ref, Duration timeout, const GetOptions& options = {});
  Result<Pin> get(const Name& name, Duration timeout, const GetOptions& options = {});

  /// Only a part of the payload; reads and checks whole chunks (64 KiB and up), no more.
  /// Errors: also invalid (the range ends beyond the object).
  Result<Pin> get(const ObjectRef& ref, ByteRange range, Duration timeout, const GetOptions& options = {});

  /// Starts a get, to be overlapped with work.
  Op<Pin> fetch(const ObjectRef& ref, const GetOptions& options = {});
  Op<Pin> fetch(const Name& name, const GetOptions& options = {});

  /// Copies the payload into `buffer`; returns its size. Errors: also invalid (the buffer is too small;
  /// nothing is written). After any other error the buffer's content is undefined, but nothing writes it any
  /// more.
  Result<std::uint64_t> get_into(const ObjectRef& ref, std::span<std::byte> buffer, Duration timeout,
                                 const GetOptions& options = {});

  /// Many at once, several reads in flight, neighbours fetched together. One result for each reference, in
  /// order; one that fails does not disturb the others.
  std::vector<Result<Pin>> get_many(std::span<const ObjectRef> refs, Duration timeout,
                                    const GetOptions& options = {});

  /// Has objects that are on disk brought back into their owners' memory, so that gets to come find them
  /// there. Returns at once; what cannot be brought back is told to the get. Objects elsewhere are passed
  /// over. Errors: invalid.
  Status prefetch(std::span<const ObjectRef> refs);

  /// Waits until `count` of `refs` are sealed (Draft::ref gives references that are not yet), or the timeout.
  /// An object that was erased, or whose owner is lost, counts as ready: a get will not wait for it.
  /// With a timeout of zero each is looked up once, which takes a second at most where an owner is silent;
  /// what was erased, or is not sealed, is pending then. Errors: invalid (count larger than the number of
  /// references), and what makes it impossible to look up so many that too few are left, as corrupt. Reaching
  /// the timeout is not an error.
  Result<WaitResult> wait(std::span<const ObjectRef> refs, std::size_t count, Duration timeout);

  // --- names and references

  /// The reference that a name stands for. Errors: not_found, timed_out, owner_lost (the name's home).
  Result<ObjectRef> lookup(const Name& name, Duration timeout, const GetOptions& options = {});

  Result<bool> contains(const ObjectRef& ref, Duration timeout);
  Result<bool> contains(const Name& name, Duration timeout);

  /// Removes the object; pins that are held keep its bytes. Whose name it had loses it, too.
  /// Errors: not_found, timed_out, owner_lost.
  Status erase(const ObjectRef& ref, Duration timeout);
  /// Removes the name, and the object under it. Once the name is gone the object's owner may be lost: no
  /// error.
  Status erase(const Name& name, Duration timeout);

  /// A reference to an object by its id, of which nobody may hold a reference any more: Collect::lazy leaves
  /// it as cache until its room is needed. Asks its owner. Errors: invalid (of another job, or an earlier
  /// life of its owner), not_found, timed_out, owner_lost.
  Result<ObjectRef> find(const ObjectId& id, Duration timeout);

  /// Turns ObjectRef::token's text back into a reference. Asks the owner, unless this process holds the
  /// object already. Errors: invalid (truncated, altered, of another job or version), expired, not_found,
  /// timed_out, owner_lost.
  Result<ObjectRef> redeem(std::string_view token, Duration timeout = std::chrono::seconds(30));

  /// References to what an object was put with as its parts (PutOptions::parts), in that order. Asks its
  /// owner, and those of the parts. Errors: not_found, timed_out, owner_lost.
  Result<std::vector<ObjectRef>> parts(const ObjectRef& ref, Duration timeout);

  /// What holds an object, since when, where it is, who pins it, and what becomes of it when memory is short:
  /// some lines for people, as its owner knows it. `holdfast why ID` prints the same from outside the job.
  /// Errors: timed_out, owner_lost.
  Result<std::string> why(const ObjectRef& ref, Duration timeout);

  // --- the job

  /// Returns when all members have called it as often as this one. A call that did not succeed is to be
  /// repeated before anything else: the others may pass meanwhile. By one thread of each member at a time.
  /// Errors: timed_out, owner_lost (rank 0).
  Status barrier(Duration timeout);

  Stats stats() const;

  /// Leaves the job: objects of this member are gone for the others (owner_lost); pins held here stay valid.
  /// Errors: invalid (closed already).
  Status close();

 private:
  explicit Store(std::shared_ptr<Member> member) noexcept : member_(std::move(member)) {}
  std::shared_ptr<Member> member_;
};

}  // namespace holdfast
