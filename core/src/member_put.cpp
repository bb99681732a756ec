// Putting, sealing and erasing.
#include <fmt/format.h>

#include <bit>
#include <utility>

#include "holdfast/draft.h"
#include "src/block.h"
#include "src/member.h"
#include "src/run.h"

namespace holdfast {
namespace {

Result<BlockLayout> layout_for(std::uint64_t size, const PutOptions& options) {
  constexpr std::uint32_t kLeastAlignment = 64, kMostAlignment = 2 * 1024 * 1024;
  if (!std::has_single_bit(options.alignment) || options.alignment < kLeastAlignment ||
      options.alignment > kMostAlignment)
    return fail(Code::invalid, "Store::draft",
                fmt::format("an alignment of {} is not possible; choose a power of two from {} to {}",
                            options.alignment, kLeastAlignment, kMostAlignment));
  if (size > kMaxPayloadBytes)
    return fail(
        Code::invalid, "Store::draft",
        fmt::format("an object has at most {}, not {}", format_bytes(kMaxPayloadBytes), format_bytes(size)));
  return BlockLayout{
      size, BlockLayout::make_flags(options.checksum == PutOptions::Checksum::on, options.alignment)};
}

}  // namespace

std::optional<numa::NodeId> Member::node_for(const PutOptions& options) {
  if (options.node || job_.options.placement == Placement::local) return options.node;
  return job_.memory->next_node();
}

Result<Draft> Member::draft(std::uint64_t size, const PutOptions& options) {
  HOLDFAST_TRY(const BlockLayout layout, layout_for(size, options));
  HOLDFAST_TRY(auto parts, as_parts(options.parts));
  HOLDFAST_TRY(const Block block, job_.holdings->allocate_in_line(layout.block_bytes(), layout.alignment(),
                                                                  node_for(options), options.timeout));
  auto state =
      std::make_unique<DraftState>(shared_from_this(), job_.memory, job_.holdings->new_id(), layout, block);
  state->timeout = options.timeout;
  state->parts = std::move(parts);
  return Draft(std::move(state));
}

Result<ObjectRef> Member::put(std::optional<Key> name, std::span<const std::byte> bytes,
                              const PutOptions& options) {
  HOLDFAST_TRY(const BlockLayout layout, layout_for(bytes.size(), options));
  HOLDFAST_TRY(auto parts, as_parts(options.parts));
  HOLDFAST_TRY(const Block block, job_.holdings->allocate_in_line(layout.block_bytes(), layout.alignment(),
                                                                  node_for(options), options.timeout));
  DraftState draft({}, job_.memory, job_.holdings->new_id(), layout, block);
  draft.timeout = options.timeout;
  draft.parts = std::move(parts);
  fill_block(block.address, layout, bytes);
  return enter(draft, name);
}

Result<ObjectRef> Member::seal(DraftState& draft, std::optional<Key> name) {
  checksum_block(draft.block.address, draft.layout);
  return enter(draft, name);
}

/// Makes a block whose payload and table are complete an object, under a name if one is given.
Result<ObjectRef> Member::enter(DraftState& draft, const std::optional<Key>& name) {
  write_header(draft.block.address,
               {draft.id, job_.peers->card(job_.peers->self()).incarnation, draft.layout},
               job_.holdings->new_generation());
  auto sealed = job_.holdings->seal(draft.id, draft.layout, draft.block, std::move(draft.parts));
  if (!sealed) {
    drop(draft);
    return tl::unexpected(std::move(sealed).error());
  }
  draft.sealed = true;
  if (*sealed) agent_->tell(std::move(**sealed));
  job_.counters.add(Count::puts);
  job_.counters.add(Count::put_bytes, draft.layout.size);
  const Entry entry{draft.id, draft.block.location, draft.layout, job_.peers->self()};
  if (name) {
    if (const Status published = publish(*name, entry, draft.timeout); !published) {
      // Whoever found it by the promised reference meanwhile has had it; under the name nobody will.
      const auto erased = job_.holdings->erase(draft.id);
      if (erased && erased->awaiting_unpin) agent_->collect_later();
      return tl::unexpected(published.error());
    }
  }
  return make_ref(entry, job_.references->make_own(entry.id));
}

void Member::drop(DraftState& draft) {
  spoil_header(draft.block.address);
  if (!draft.promised) return;
  if (auto notice = job_.holdings->break_promise(draft.id)) agent_->tell(std::move(*notice));
}

ObjectRef Member::ref_of(DraftState& draft) {
  job_.holdings->promise(draft.id);
  draft.promised = true;
  return make_ref({draft.id, draft.block.location, draft.layout, job_.peers->self()},
                  job_.references->make_own(draft.id));
}

Status Member::publish(const Key& name, const Entry& entry, Duration timeout) {
  const MemberId home = job_.peers->home_of(name);
  // Noted first, so that an erase that comes at once takes the name away, too.
  if (!job_.holdings->note_name(entry.id, name, home))
    return fail(Code::not_found, "Store::put", "the object was erased before it had its name");
  if (home == job_.peers->self()) {
    HOLDFAST_TRY(auto notice, job_.holdings->publish(name, entry));
    if (notice) agent_->tell(std::move(*notice));
    return {};
  }
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  const auto published = run<std::monostate>(0, [&](Channel& channel, auto done) {
    spawn(publish_name(job_, channel, name, entry, deadline), [done](Status status) {
      done(status ? Result<std::monostate>() : tl::unexpected(std::move(status).error()));
    });
  });
  if (published) return {};
  if (may_be_published(published.error())) agent_->withdraw(name, entry.id);
  return tl::unexpected(published.error());
}

Status Member::erase(const ObjectRef& ref, Duration timeout) {
  HOLDFAST_TRY(const Entry entry, entry_of(ref, "Store::erase"));
  return erase(entry, Deadline::after(job_.clock, timeout));
}

Status Member::erase(const Entry& entry, Deadline deadline) {
  // Its own objects, too, by message where a name's home must be told; else here.
  if (entry.owner == job_.peers->self()) {
    HOLDFAST_TRY(const Holdings::Erased erased, job_.holdings->erase(entry.id));
    if (erased.awaiting_unpin) agent_->collect_later();
    const std::optional<Key>& name = erased.name;
    if (!name) return {};
    if (job_.peers->home_of(*name) == job_.peers->self()) {
      const auto gone = job_.holdings->unpublish(*name, entry.id);
      return gone || gone.error().code == Code::not_found ? Status() : tl::unexpected(gone.error());
    }
    const auto gone = run<Entry>(0, [&](Channel& channel, auto done) {
      spawn(unpublish_name(job_, channel, *name, entry.id, deadline), done);
    });
    return gone || gone.error().code == Code::not_found ? Status() : tl::unexpected(gone.error());
  }
  const auto erased = run<std::monostate>(0, [&](Channel& channel, auto done) {
    spawn(erase_object(job_, channel, entry.owner, entry.id, deadline), [done](Status status) {
      done(status ? Result<std::monostate>() : tl::unexpected(std::move(status).error()));
    });
  });
  return erased ? Status() : tl::unexpected(erased.error());
}

Status Member::erase(const Key& name, Duration timeout) {
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  auto found = run<Entry>(
      0, [&](Channel& channel, auto done) { spawn(resolve(job_, channel, name, {}, deadline), done); });
  if (!found) return fail(found.error().code, "Store::erase", found.error().detail);
  const Entry entry = *found;
  // The object first: an object that is kept by a name which is gone could not be erased any more, a name
  // without its object can.
  const Status erased = erase(entry, deadline);
  if (erased || (erased.error().code != Code::not_found && erased.error().code != Code::owner_lost))
    return erased;
  const auto gone = job_.peers->home_of(name) == job_.peers->self()
                        ? job_.holdings->unpublish(name, entry.id)
                        : run<Entry>(0, [&](Channel& channel, auto done) {
                            spawn(unpublish_name(job_, channel, name, entry.id, deadline), done);
                          });
  if (gone && erased.error().code == Code::owner_lost) agent_->withdraw(entry.owner, entry.id);
  return gone || gone.error().code == Code::not_found ? Status() : tl::unexpected(gone.error());
}

}  // namespace holdfast
