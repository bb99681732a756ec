#include "holdfast/draft.h"

#include "src/member.h"

namespace holdfast {
namespace {

/// The member, if the draft can still become an object.
Result<std::shared_ptr<Member>> member_of(const std::unique_ptr<DraftState>& state,
                                          std::string_view operation) {
  if (!state) return fail(Code::invalid, operation, "this draft was sealed or moved from");
  auto member = state->member.lock();
  if (!member || member->closed()) return fail(Code::invalid, operation, "the store is closed");
  return member;
}

}  // namespace

Draft::Draft(std::unique_ptr<DraftState> state) noexcept : state_(std::move(state)) {}
Draft::Draft(Draft&&) noexcept = default;

Draft& Draft::operator=(Draft&& other) noexcept {
  if (this != &other) {
    const Draft dropped(std::move(*this));
    state_ = std::move(other.state_);
  }
  return *this;
}

Draft::~Draft() {
  if (!state_) return;
  if (auto member = member_of(state_, "Draft")) (*member)->drop(*state_);
}

std::span<std::byte> Draft::bytes() const noexcept {
  if (!state_) return {};
  return {state_->block.address + state_->layout.payload_offset(), state_->layout.size};
}

Result<ObjectRef> Draft::ref() const {
  HOLDFAST_TRY(const auto member, member_of(state_, "Draft::ref"));
  return member->ref_of(*state_);
}

Result<ObjectRef> Draft::seal() && {
  HOLDFAST_TRY(const auto member, member_of(state_, "Draft::seal"));
  const auto state = std::move(state_);
  return member->seal(*state, std::nullopt);
}

Result<ObjectRef> Draft::seal(const Name& name) && {
  HOLDFAST_TRY(const auto member, member_of(state_, "Draft::seal"));
  const auto state = std::move(state_);
  const auto key = key_of(name);
  if (!key) {
    member->drop(*state);
    return tl::unexpected(key.error());
  }
  return member->seal(*state, *key);
}

}  // namespace holdfast
