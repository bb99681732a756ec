// Putting, sealing and erasing.
#include <fmt/format.h>

#include <bit>
#include <utility>

#include "holdfast/draft.h"
#include "src/block.h"
#include "src/member.h"
#include "src/owned.h"
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

Result<ObjectRef> Member::enter(DraftState& draft, const std::optional<Key>& name) {
  // Without a lane there would be no name, and an object that nobody lets go of.
  if (name)
    if (auto lane = lanes_->mine(); !lane) {
      abandon(job_, *agent_, draft);
      return tl::unexpected(std::move(lane).error());
    }
  HOLDFAST_TRY(const Entry entry, holdfast::enter(job_, *agent_, draft));
  if (name) {
    const Deadline deadline = Deadline::after(job_.clock, draft.timeout);
    HOLDFAST_DO(
        run([&](Channel& channel) { return give_name(job_, *agent_, channel, *name, entry, deadline); }));
  }
  return make_ref(entry, job_.references->make_own(entry.id));
}

void Member::drop(DraftState& draft) { abandon(job_, *agent_, draft); }

ObjectRef Member::ref_of(DraftState& draft) {
  job_.holdings->promise(draft.id);
  draft.promised = true;
  return make_ref({draft.id, draft.block.location, draft.layout, job_.peers->self()},
                  job_.references->make_own(draft.id));
}

Status Member::erase(const ObjectRef& ref, Duration timeout) {
  HOLDFAST_TRY(const Entry entry, entry_of(ref, "Store::erase"));
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  if (entry.owner != job_.peers->self())
    return run([&](Channel& channel) { return holdfast::erase(job_, *agent_, channel, entry, deadline); });
  // Its own without a name, as most are, need no lane.
  HOLDFAST_TRY(const std::optional<Key> name, erase_own(job_, *agent_, entry.id));
  if (!name) return {};
  if (auto lane = lanes_->mine(); !lane) {
    agent_->withdraw(*name, entry.id);
    return tl::unexpected(std::move(lane).error());
  }
  return run(
      [&](Channel& channel) { return forget_name(job_, *agent_, channel, *name, entry.id, deadline); });
}

Status Member::erase(const Key& name, Duration timeout) {
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  return run([&](Channel& channel) { return holdfast::erase(job_, *agent_, channel, name, deadline); });
}

}  // namespace holdfast
