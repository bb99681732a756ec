// The references that this process holds: what its handles share, and what is still to be reported to owners.
//
// Handles of one object that were copied from each other share a Reference, so a copy costs an atomic
// increment. The table counts References by object; the first is a hold that the owner grants, the last one
// gone a drop that is reported in a batch. A token is reported, too; until its owner has heard of it, the
// table keeps a handle in its place.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "src/catalogue.h"
#include "src/holders.h"

namespace holdfast {

class Member;
class References;

/// What the copies of one handle share. Ends with the last of them, on whichever thread.
class Reference {
 public:
  Reference(std::shared_ptr<References> table, const ObjectId& id, MemberId owner) noexcept
      : table_(std::move(table)), id_(id), owner_(owner) {}
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  const ObjectId& id() const noexcept { return id_; }
  MemberId owner() const noexcept { return owner_; }
  References& table() const noexcept { return *table_; }

 private:
  std::shared_ptr<References> table_;
  ObjectId id_;
  MemberId owner_;
};

/// An object that is declared to be part of another one, which keeps it.
struct Part {
  Entry entry;
  std::shared_ptr<Reference> reference;
};

/// For one owner, in the order in which they take effect there.
struct ReferenceReport {
  struct Token {
    ObjectId id;
    std::uint64_t number = 0;
    std::shared_ptr<Reference> guard;  ///< until the owner has heard
  };
  struct Drop {
    ObjectId id;
    std::uint64_t number = 0;  ///< of the hold that ends
  };
  MemberId owner;
  std::vector<Token> tokens;
  std::vector<Drop> drops;
  std::vector<Drop> undone;  ///< each one hold, that may have been granted without our hearing of it
};

/// Lives as long as the member or any handle. Any thread.
class References : public std::enable_shared_from_this<References> {
 public:
  /// `sure`: how long after an owner had a word of this process it has certainly not given it up.
  References(MemberId self, Duration sure) noexcept : self_(self), sure_(sure) {}

  void set_member(std::weak_ptr<Member> member);
  std::shared_ptr<Member> member() const;

  /// `wake` is called, not more than once between two calls of take_reports(), when there is something to
  /// report. Reset with nullptr before it goes.
  void set_wake(std::function<void()> wake);

  /// Nothing is reported any more.
  void close();

  /// A handle for an object of this process's own, which the caller has counted.
  std::shared_ptr<Reference> make_own(const ObjectId& id) {
    return std::make_shared<Reference>(shared_from_this(), id, self_);
  }

  /// A handle for another member's object that this process holds already. nullptr where it does not, or
  /// where the owner may have given this process up meanwhile, and its holds with it: then it is to be asked
  /// anew. So where the object was of another layout when it was granted: only its owner can tell.
  std::shared_ptr<Reference> share(const Entry& entry, TimePoint now);
  /// A number for a new hold, to ask the owner for; one of the three below follows. No drop of the object is
  /// reported before: it would end this hold, too, where a later one was granted, and dropped, before the
  /// answer to this one was seen.
  std::uint64_t ask(const ObjectId& id);
  /// The owner has granted it, when it was asked at `asked` or later.
  std::shared_ptr<Reference> granted(const Entry& entry, std::uint64_t number, TimePoint asked);
  /// Whether what was asked for at `asked` and granted is certainly held still.
  bool is_sure(TimePoint asked, TimePoint now) const noexcept { return now - asked <= sure_; }
  /// It has not.
  void refused(const ObjectId& id);
  /// It did not answer and may have granted it: it is told that this hold, and no other, is taken back.
  void not_answered(const ObjectId& id, MemberId owner, std::uint64_t number);

  /// Holds that were asked for and not answered.
  std::size_t asked() const;

  /// The owner has looked whether this process is there, and had a word of it at `heard` or later.
  void asked_for_us(MemberId owner, TimePoint heard);

  /// A token that the owner, another member, will be told of.
  TokenId make_token(std::shared_ptr<Reference> reference);
  /// Wakes whoever reports.
  void nudge();

  /// Objects of this process's own, once for each of their handles that has gone since the last call.
  void take_own(std::vector<ObjectId>& dropped);
  bool has_own() const noexcept { return own_dropped_some_.load(std::memory_order_relaxed); }

  /// Whether an owner with a report under way gets another.
  enum class UnderWay : std::uint8_t { wait, follow };
  /// What there is to report now, at most `most` items to each owner.
  std::vector<ReferenceReport> take_reports(std::size_t most, UnderWay under_way = UnderWay::wait);
  enum class Outcome : std::uint8_t {
    heard,
    unheard,  ///< to be reported again
    lost,     ///< the owner has gone: there is nobody to tell
  };
  void reported(ReferenceReport report, Outcome outcome);

  /// Owners of whose objects this process holds some.
  std::vector<MemberId> owners() const;

 private:
  friend class Reference;
  struct Borrowed {
    std::uint32_t references = 0;
    std::uint64_t number = 0;  ///< of the newest hold that was granted
    bool reporting = false;    ///< its drop is under way
    bool sure = true;          ///< the owner knows of it
    MemberId owner;
    BlockLayout layout;  ///< as the owner was asked for it
  };
  struct Pending {
    std::vector<ReferenceReport::Token> tokens;
    std::vector<ReferenceReport::Token> told;  ///< by the report that is under way
    std::vector<ObjectId> dropped;             ///< perhaps held again since
    std::vector<ReferenceReport::Drop> undone;
    std::uint64_t last_token = 0;
    bool under_way = false;
  };
  void dropped(const Reference& reference) noexcept;
  void answered(const ObjectId& id);                // with the lock
  void heard_from(MemberId owner, TimePoint when);  // with the lock
  void something_to_report();                       // with the lock

  const MemberId self_;
  const Duration sure_;
  std::atomic<bool> own_dropped_some_{false};

  mutable std::mutex mutex_;
  std::weak_ptr<Member> member_;
  std::function<void()> wake_;
  bool woken_ = false;
  bool closed_ = false;
  std::uint64_t last_hold_ = 0;
  std::unordered_map<ObjectId, std::uint32_t> asked_for_;  ///< holds without an answer yet
  std::vector<ObjectId> own_dropped_;
  std::unordered_map<ObjectId, Borrowed> borrowed_;
  std::map<MemberId, Pending> pending_;
  std::map<MemberId, TimePoint> heard_;  ///< when an owner of what is borrowed certainly knew of that
};

}  // namespace holdfast
