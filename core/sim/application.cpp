#include "sim/application.h"

#include <algorithm>
#include <chrono>

#include "src/block.h"
#include "src/owned.h"

namespace holdfast::sim {
namespace {

// As Admission: how often the first in line looks for itself.
constexpr Duration kLookInterval = std::chrono::milliseconds(2);

}  // namespace

/// As Holdings::allocate_in_line with Admission, which block the thread that waits.
Task<Result<Block>> Application::allocate_in_line(std::uint64_t bytes, std::uint64_t alignment,
                                                  std::optional<numa::NodeId> node, Duration timeout) {
  Holdings& holdings = *job_.holdings;
  Result<Block> block = fail(Code::full, "Store::put", "other puts are ahead in line");
  if (line_.empty()) block = holdings.allocate_object(bytes, alignment, node);
  if (block || block.error().code != Code::full) co_return block;
  const Deadline deadline = after(timeout);
  const std::uint64_t place = next_in_line_++;
  line_.push_back(place);
  holdings.note_shortage();
  while (!channel_.closing()) {
    if (line_.front() == place) block = holdings.allocate_object(bytes, alignment, node);
    const bool decided = block || block.error().code != Code::full;
    if (decided || deadline.passed(job_.clock)) break;
    co_await channel_.sleep(job_.clock.now() + std::min(kLookInterval, deadline.left(job_.clock)));
  }
  std::erase(line_, place);
  co_return block;
}

Task<Result<std::unique_ptr<DraftState>>> Application::draft(std::uint64_t size, std::vector<Handle> parts,
                                                             std::optional<numa::NodeId> node,
                                                             Duration timeout) {
  const BlockLayout layout{size, BlockLayout::make_flags(checksum_ == PutOptions::Checksum::on,
                                                         static_cast<std::uint32_t>(kCacheLine))};
  HOLDFAST_CO_TRY(const Block block,
                  co_await allocate_in_line(layout.block_bytes(), layout.alignment(), node, timeout));
  auto made = std::make_unique<DraftState>(std::weak_ptr<Member>(), job_.memory, job_.holdings->new_id(),
                                           layout, block);
  for (Handle& part : parts) made->parts.push_back({part.entry, std::move(part.reference)});
  co_return std::move(made);
}

Handle Application::promise(DraftState& draft) {
  job_.holdings->promise(draft.id);
  draft.promised = true;
  return {{draft.id, draft.block.location, draft.layout, self()}, job_.references->make_own(draft.id)};
}

void Application::abandon(std::unique_ptr<DraftState> draft) { holdfast::abandon(job_, agent_, *draft); }

Task<Result<Handle>> Application::seal(std::unique_ptr<DraftState> draft, std::optional<Key> name,
                                       Duration timeout) {
  checksum_block(draft->block.address, draft->layout);
  auto sealed = co_await enter(std::move(draft), name, timeout);
  co_return sealed;
}

Task<Result<Handle>> Application::put(std::vector<std::byte> bytes, std::optional<Key> name,
                                      Duration timeout) {
  HOLDFAST_CO_TRY(auto made, co_await draft(bytes.size(), std::vector<Handle>(), std::nullopt, timeout));
  fill_block(made->block.address, made->layout, bytes);
  auto sealed = co_await enter(std::move(made), name, timeout);
  co_return sealed;
}

Task<Result<Handle>> Application::enter(std::unique_ptr<DraftState> draft, std::optional<Key> name,
                                        Duration timeout) {
  HOLDFAST_CO_TRY(const Entry entry, holdfast::enter(job_, agent_, *draft));
  if (name) HOLDFAST_CO_DO(co_await give_name(job_, agent_, channel_, *name, entry, after(timeout)));
  co_return Handle{entry, job_.references->make_own(entry.id)};
}

Task<Result<Pin>> Application::get(Target target, std::optional<ByteRange> range, GetOptions::Missing missing,
                                   Duration timeout) {
  const Want want{range, job_.options.verify, {missing == GetOptions::Missing::wait}, patience_for(timeout)};
  auto pin = co_await get_pin(job_, channel_, target, want, after(timeout));
  co_return pin;
}

Task<Result<Pin>> Application::get(Target target, std::shared_ptr<Cancellation> cancellation,
                                   Duration timeout) {
  const Want want{{}, job_.options.verify, {true, cancellation.get()}, patience_for(timeout)};
  auto pin = co_await get_pin(job_, channel_, target, want, after(timeout));
  co_return pin;
}

Task<Result<std::uint64_t>> Application::get_into(Entry entry, std::span<std::byte> into, Duration timeout) {
  const Want want{{}, job_.options.verify, {true}, patience_for(timeout)};
  auto copied = co_await get_copy(job_, channel_, entry, want, into, after(timeout));
  co_return copied;
}

Task<std::vector<Result<Pin>>> Application::get_many(std::vector<Entry> entries, Duration timeout) {
  const Want want{{}, job_.options.verify, {true}, patience_for(timeout)};
  const MemberId owner = entries.front().owner;
  auto pins = co_await get_batch(job_, channel_, owner, std::move(entries), want, after(timeout));
  co_return pins;
}

Task<Result<Entry>> Application::wait(Entry entry, Duration timeout) {
  auto found = co_await find_object(job_, channel_, entry.owner, entry.id, {true}, after(timeout));
  co_return found;
}

Task<Result<WaitResult>> Application::wait_many(std::vector<Entry> entries, std::size_t count,
                                                Duration timeout) {
  auto waited = co_await holdfast::wait_many(job_, channel_, std::move(entries), count, LateOnes::waited_for,
                                             after(timeout));
  co_return waited;
}

Task<Result<Handle>> Application::lookup(Key name, GetOptions::Missing missing, Duration timeout) {
  const Deadline deadline = after(timeout);
  HOLDFAST_CO_TRY(const Entry entry,
                  co_await resolve(job_, channel_, name, {missing == GetOptions::Missing::wait}, deadline));
  auto held = co_await hold(entry, {}, deadline);
  co_return held;
}

PassedToken Application::token(const Handle& handle) {
  const bool own = handle.entry.owner == self();
  const TokenId token =
      own ? job_.holdings->make_token(handle.entry.id) : job_.references->make_token(handle.reference);
  if (own) job_.references->nudge();
  return {handle.entry, job_.peers->card(handle.entry.owner).incarnation, token};
}

Task<Result<Handle>> Application::redeem(PassedToken token, Duration timeout) {
  if (job_.peers->card(token.entry.owner).incarnation != token.owner_incarnation)
    co_return fail(Code::invalid, "Store::redeem", "the reference is of an earlier life of its owner");
  auto held = co_await hold(token.entry, token.token, after(timeout));
  co_return held;
}

Task<Result<Handle>> Application::hold(Entry entry, TokenId token, Deadline deadline) {
  HOLDFAST_CO_TRY(std::shared_ptr<Reference> held, hold_here(job_, entry, token));
  if (held == nullptr) {
    HOLDFAST_CO_TRY(held, co_await hold_object(job_, channel_, entry, token, deadline));
  }
  co_return Handle{entry, std::move(held)};
}

void Application::prefetch(const Entry& entry) {
  spawn(holdfast::prefetch(job_, channel_, entry.owner, {entry.id}), [] {});
}

Task<Result<std::vector<Handle>>> Application::parts(Entry entry, Duration timeout) {
  const Deadline deadline = after(timeout);
  std::vector<Entry> entries;
  if (entry.owner == self()) {
    HOLDFAST_CO_TRY(entries, job_.holdings->parts_of(entry.id));
  } else {
    HOLDFAST_CO_TRY(entries, co_await parts_of_object(job_, channel_, entry.owner, entry.id, deadline));
  }
  std::vector<Handle> handles;
  for (const Entry& part : entries) {
    HOLDFAST_CO_TRY(auto handle, co_await hold(part, {}, deadline));
    handles.push_back(std::move(handle));
  }
  co_return std::move(handles);
}

Task<Status> Application::erase(Entry entry, Duration timeout) {
  Status erased = co_await holdfast::erase(job_, agent_, channel_, entry, after(timeout));
  co_return erased;
}

Task<Status> Application::erase(Key name, Duration timeout) {
  Status erased = co_await holdfast::erase(job_, agent_, channel_, name, after(timeout));
  co_return erased;
}

Task<Status> Application::barrier(Duration timeout) {
  const std::uint64_t number = barriers_;
  HOLDFAST_CO_DO(co_await pass_barrier(job_, channel_, number, after(timeout)));
  barriers_ = number + 1;
  co_return Status();
}

}  // namespace holdfast::sim
