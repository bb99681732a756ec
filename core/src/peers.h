// The members of the job as their cards describe them, and the keys of their memory as they become known.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/name.h"
#include "holdfast/object_id.h"
#include "src/card.h"
#include "src/channel.h"

namespace holdfast {

class Peers {
 public:
  /// `cards`, by rank, may be shared with other members of a simulation.
  Peers(MemberId self, std::shared_ptr<const std::vector<Card>> cards);
  Peers(MemberId self, std::vector<Card> cards)
      : Peers(self, std::make_shared<const std::vector<Card>>(std::move(cards))) {}

  MemberId self() const noexcept { return self_; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(cards_->size()); }
  const Card& card(MemberId member) const noexcept { return (*cards_)[member.value]; }
  Receiver receiver(MemberId member) const noexcept {
    return {card(member).address, card(member).incarnation};
  }
  bool shares_host(MemberId member) const noexcept { return card(member).host == card(self_).host; }

  /// The region of a member's arena that an offset lies in, if its key is known. Any thread.
  std::optional<RegionKey> region(MemberId member, std::uint64_t offset) const;
  void add_region(MemberId member, const RegionKey& region);

  /// Where a name is kept: the member with the highest hash of name and rank (rendezvous hashing, Thaler and
  /// Ravishankar, 1998). All members agree without asking.
  MemberId home_of(const Key& name) const noexcept;
  /// The same question about one member; cheaper where the answer is no.
  bool is_home(MemberId member, const Key& name) const noexcept;

  /// Whose life it is; nothing for those of other jobs, and former ones.
  std::optional<MemberId> of_incarnation(std::uint64_t incarnation) const noexcept;
  template <class Which>
  bool any(Which&& which) const {
    return std::ranges::any_of(*cards_, which);
  }

  /// "rank 3 on node07 (pid 4711)", for messages.
  std::string describe(MemberId member) const;

 private:
  MemberId self_;
  std::shared_ptr<const std::vector<Card>> cards_;
  mutable std::mutex mutex_;
  std::unordered_map<std::uint32_t, std::vector<RegionKey>> learnt_;  ///< by rank: what was not in its card
};

/// A name as catalogues know it. Errors: invalid (empty, longer than Name::kMaxBytes).
Result<Key> key_of(const Name& name);

}  // namespace holdfast
