#include "src/holders.h"

#include <algorithm>

#include "src/mutation.h"

namespace holdfast {
namespace {

constexpr auto kLatestFirst = [](const auto& a, const auto& b) { return a.when > b.when; };

}  // namespace

bool Holders::forget_if_empty(std::unordered_map<ObjectId, Kept>::iterator at) {
  if (!at->second.empty()) return false;
  kept_.erase(at);
  return true;
}

void Holders::hold(const ObjectId& id, MemberId member, std::uint64_t number, TimePoint now) {
  std::vector<Holder>& holders = kept_[id].holders;
  const auto known = std::ranges::find(holders, member, &Holder::member);
  if (known != holders.end()) {
    known->others.push_back(std::min(known->number, number));
    known->number = std::max(known->number, number);
    return;
  }
  holders.push_back({member, number, now, {}});
  ++held_by_[member.value];
}

bool Holders::end(std::unordered_map<ObjectId, Kept>::iterator at, std::vector<Holder>::iterator holder) {
  const MemberId member = holder->member;
  at->second.holders.erase(holder);
  if (--held_by_[member.value] == 0) held_by_.erase(member.value);
  return forget_if_empty(at);
}

bool Holders::drop(const ObjectId& id, MemberId member, std::uint64_t number) {
  const auto at = kept_.find(id);
  if (at == kept_.end()) return false;
  std::vector<Holder>& holders = at->second.holders;
  const auto known = std::ranges::find(holders, member, &Holder::member);
  if (known == holders.end()) return false;
  if (known->number <= number || HOLDFAST_MUTATION(apply_stale_drop)) return end(at, known);
  std::erase_if(known->others, [number](std::uint64_t other) { return other <= number; });
  return false;
}

bool Holders::undo(const ObjectId& id, MemberId member, std::uint64_t number) {
  const auto at = kept_.find(id);
  if (at == kept_.end()) return false;
  std::vector<Holder>& holders = at->second.holders;
  const auto known = std::ranges::find(holders, member, &Holder::member);
  if (known == holders.end()) return false;
  std::vector<std::uint64_t>& others = known->others;
  if (known->number != number) {
    std::erase(others, number);
    return false;
  }
  if (others.empty()) return end(at, known);
  const auto newest = std::ranges::max_element(others);
  known->number = *newest;
  others.erase(newest);
  return false;
}

void Holders::add_token(const ObjectId& id, const TokenId& token, TimePoint expires) {
  std::uint64_t& told = tokens_told_[token.maker.value];
  if (token.number <= told) return;
  told = token.number;
  kept_[id].tokens.push_back({token, expires});
  expiries_.push_back({expires, id});
  std::ranges::push_heap(expiries_, kLatestFirst);
}

bool Holders::accepts(const ObjectId& id, const TokenId& token) const {
  const auto told = tokens_told_.find(token.maker.value);
  if (told == tokens_told_.end() || token.number > told->second) return true;
  const Kept* const kept = find(id);
  return kept != nullptr && std::ranges::find(kept->tokens, token, &Token::id) != kept->tokens.end();
}

std::vector<ObjectId> Holders::expire(TimePoint now) {
  std::vector<ObjectId> free;
  while (!expiries_.empty() && expiries_.front().when <= now) {
    const ObjectId id = expiries_.front().object;
    std::ranges::pop_heap(expiries_, kLatestFirst);
    expiries_.pop_back();
    const auto at = kept_.find(id);
    if (at == kept_.end() || HOLDFAST_MUTATION(ignore_token_expiry)) continue;
    std::erase_if(at->second.tokens, [now](const Token& token) { return token.expires <= now; });
    if (forget_if_empty(at)) free.push_back(id);
  }
  return free;
}

std::optional<TimePoint> Holders::next_expiry() const {
  if (expiries_.empty()) return std::nullopt;
  return expiries_.front().when;
}

std::vector<ObjectId> Holders::member_lost(MemberId member) {
  std::vector<ObjectId> free;
  if (held_by_.erase(member.value) == 0) return free;
  for (auto at = kept_.begin(); at != kept_.end();) {
    const auto here = at++;
    if (std::erase_if(here->second.holders,
                      [member](const Holder& holder) { return holder.member == member; }) == 0)
      continue;
    const ObjectId id = here->first;
    if (forget_if_empty(here)) free.push_back(id);
  }
  std::ranges::sort(free);  // not in the order of a hash table: the same everywhere, for the simulator
  return free;
}

void Holders::forget(const ObjectId& id) {
  const auto at = kept_.find(id);
  if (at == kept_.end()) return;
  for (const Holder& holder : at->second.holders)
    if (--held_by_[holder.member.value] == 0) held_by_.erase(holder.member.value);
  at->second.holders.clear();
  forget_if_empty(at);
}

const Holders::Kept* Holders::find(const ObjectId& id) const {
  const auto at = kept_.find(id);
  return at == kept_.end() ? nullptr : &at->second;
}

std::vector<MemberId> Holders::members() const {
  std::vector<MemberId> members;
  members.reserve(held_by_.size());
  for (const auto& [member, objects] : held_by_) members.push_back({member});
  std::ranges::sort(members);
  return members;
}

}  // namespace holdfast
