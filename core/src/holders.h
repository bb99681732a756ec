// Who, beside the owner's own process, keeps an object alive: members that hold references, tokens under way
// between members, and members that have declared it part of an object of theirs (they hold it like any
// other).
//
// The owner's book, and nothing else: no lock (the caller's), no clock, no network. See "Lifetime" in
// docs/design.md for the protocol and why it leaves no gap.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/object_id.h"
#include "src/block.h"

namespace holdfast {

/// Names one token: its maker numbers those of each owner's objects one after the other, from 1.
struct TokenId {
  MemberId maker;
  std::uint64_t number = 0;
  friend bool operator==(const TokenId&, const TokenId&) = default;
};

/// What a member asks the owner for.
struct HoldRequest {
  ObjectId id;
  std::uint64_t number = 0;  ///< of the hold, of those of the asking member
  TokenId token;             ///< what it was given; its number is 0 where that was not a token
  BlockLayout layout;        ///< as the asking member was told it
};

class Holders {
 public:
  /// Notes that `member` holds the object. Holds of a member have growing numbers; only the drop of the
  /// newest ends it, so that drops which were overtaken, or come twice, do no harm.
  void hold(const ObjectId& id, MemberId member, std::uint64_t number, TimePoint now);

  /// True if nothing here keeps the object any more, and something did before.
  [[nodiscard]] bool drop(const ObjectId& id, MemberId member, std::uint64_t number);

  /// Takes back one hold of those that the member has asked for, whose answer it did not get. True as for
  /// drop().
  [[nodiscard]] bool undo(const ObjectId& id, MemberId member, std::uint64_t number);

  /// Notes a token that keeps the object until `expires`. A maker's tokens are noted in the order of their
  /// numbers; one that was noted before is passed over.
  void add_token(const ObjectId& id, const TokenId& token, TimePoint expires);

  /// Whether a token still gives a right to the object: one that is kept here, or one of which its maker, who
  /// holds the object until then, has not told yet.
  bool accepts(const ObjectId& id, const TokenId& token) const;

  /// Ends tokens whose time has come; gives the objects that nothing here keeps any more.
  std::vector<ObjectId> expire(TimePoint now);
  /// When the next token ends; nothing without tokens.
  std::optional<TimePoint> next_expiry() const;

  /// Ends everything that the member held. Tokens it had told of stay: they are under way to others.
  /// Gives the objects that nothing here keeps any more.
  std::vector<ObjectId> member_lost(MemberId member);

  /// The object is gone, whatever held it. Tokens for it stay: who redeems one is told that it is not there.
  void forget(const ObjectId& id);

  bool keeps(const ObjectId& id) const { return kept_.contains(id); }

  struct Holder {
    MemberId member;
    std::uint64_t number = 0;  ///< of the newest hold
    TimePoint since;
    std::vector<std::uint64_t> others;  ///< holds asked for at the same time, or before the last drop came
  };
  struct Token {
    TokenId id;
    TimePoint expires;
  };
  struct Kept {
    std::vector<Holder> holders;
    std::vector<Token> tokens;
    bool empty() const noexcept { return holders.empty() && tokens.empty(); }
  };
  /// nullptr where nothing here keeps the object.
  const Kept* find(const ObjectId& id) const;

  /// Members that hold something.
  std::vector<MemberId> members() const;
  std::size_t objects() const noexcept { return kept_.size(); }

 private:
  struct Expiry {
    TimePoint when;
    ObjectId object;
  };
  bool forget_if_empty(std::unordered_map<ObjectId, Kept>::iterator at);
  bool end(std::unordered_map<ObjectId, Kept>::iterator at, std::vector<Holder>::iterator holder);

  std::unordered_map<ObjectId, Kept> kept_;
  std::unordered_map<std::uint32_t, std::uint64_t> held_by_;      ///< objects, by member
  std::unordered_map<std::uint32_t, std::uint64_t> tokens_told_;  ///< the last number, by maker
  std::vector<Expiry> expiries_;                                  ///< a heap, earliest first
};

}  // namespace holdfast
