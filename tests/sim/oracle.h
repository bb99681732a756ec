// Knows what was sealed, named, erased and dropped, and what went wrong on purpose; says of each result
// whether it may be. Strict where nothing was done to those who are concerned; where something was, it still
// allows typed errors only, the right bytes, and nothing kept for ever.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/cluster.h"
#include "tests/sim/scenario.h"

namespace holdfast::sim::test {

/// The payload of an object of a scenario.
std::vector<std::byte> pattern(std::uint32_t object, std::uint64_t bytes);

class Oracle {
 public:
  enum class State : std::uint8_t {
    drafting,
    sealing,
    sealed,
    failed,     ///< sealed, and erased again by its put
    abandoned,  ///< never sealed
  };
  static bool was_sealed(State state) { return state != State::drafting && state != State::abandoned; }
  struct Object {
    MemberId owner;
    std::uint32_t owner_life = 0;
    ObjectId id;
    std::uint64_t bytes = 0;
    State state = State::drafting;
    std::uint32_t erases = 0;          ///< that are under way, or were not refused
    std::optional<TimePoint> erased;   ///< when it, and its name, had certainly gone
    TimePoint decided_from;            ///< when its seal was begun, or it was abandoned
    std::vector<std::uint32_t> parts;  ///< objects that it declares
  };
  struct Naming {
    std::uint32_t object = 0;
    TimePoint start;
    std::optional<TimePoint> done;  ///< when it had succeeded
    bool failed = false;            ///< and never stood, or was taken back by its put
  };
  /// An operation as it was started.
  struct Operation {
    std::string what;  ///< for people
    MemberId member;
    std::uint32_t life = 0;
    TimePoint start;
    Deadline deadline = Deadline::never();
    TimePoint held_since;      ///< by its member: the handle that it is done with
    std::uint32_t object = 0;  ///< that it is about; or the name
    std::uint32_t name = 0;
    std::optional<TimePoint> called_off{};
    std::uint64_t bytes = 0;   ///< that it may take of its member's memory, beyond those of one object
    std::uint32_t blocks = 1;  ///< in so many
  };
  struct Token {
    std::uint32_t object = 0;
    MemberId maker;
    TimePoint made;
    TimePoint held_since;  ///< by its maker
  };

  Oracle(Cluster& cluster, const Scenario& scenario) : cluster_(cluster), scenario_(scenario) {}

  // --- what is done

  Object& made(std::uint32_t object, const Object& as) { return objects_.emplace(object, as).first->second; }
  Object* find(std::uint32_t object);
  std::optional<std::uint32_t> number_of(const ObjectId& id) const;
  Naming& naming(std::uint32_t name, std::uint32_t object);
  void arrives(const Operation& operation, std::uint64_t barrier);
  void erasing(std::uint32_t object) { ++objects_.at(object).erases; }
  /// Gives its number, for erased_name().
  std::uint64_t erasing_name(std::uint32_t name);
  /// `act` was done to the member's disks.
  void disk_trouble(MemberId member, Act act);
  void trouble(MemberId member) {
    troubled_[member.value] = true;
    left_.erase(member.value);
  }
  /// It has taken its leave: what it had promised before counts, unless something had been done to it.
  void left(MemberId member) {
    const bool well = !is_troubled(member);
    trouble(member);
    if (well) left_.insert(member.value);
  }
  void stopped(MemberId member);
  void resumed(MemberId member);
  void cut(MemberId one, MemberId other);
  void healed();

  /// An operation may take memory of its member's, until it lets go of what it was given. Which it does not
  /// where it was not given anything: the network may still write there.
  void begun(std::uint64_t number, const Operation& operation);
  void let_go(std::uint64_t number, TimePoint when);

  /// One after the other is pinned, or lands, and stays until all have: they may take all of the memory of
  /// either, and more.
  void many_begun(MemberId reader, MemberId owner) {
    ++many_[reader.value].under_way;
    ++many_[owner.value].under_way;
  }
  void many_ended(MemberId reader, MemberId owner);

  /// The memory of the object's owner, or of the reader that has a copy, is not to be had for so long.
  void pinned(MemberId reader, std::uint32_t object, Duration time);

  // --- what comes of it

  void ended(const Operation& operation);
  /// A get of many gave so many results.
  void counted(const Operation& operation, std::size_t results, std::size_t objects);
  void never_ended(const Operation& operation);
  void got(const Operation& operation, std::uint32_t object, const Result<Pin>& pin,
           const std::optional<ByteRange>& range);
  void copied(const Operation& operation, std::uint32_t object, const Result<std::uint64_t>& bytes,
              std::span<const std::byte> into);
  void got_by_name(const Operation& operation, std::uint32_t name, bool waited, const Result<Pin>& pin);
  void looked_up(const Operation& operation, std::uint32_t name, bool waited, const Result<Handle>& handle);
  void waited(const Operation& operation, std::uint32_t object, const Result<Entry>& found);
  void not_made(const Operation& operation, const Error& error);
  void got_parts(const Operation& operation, std::uint32_t object, const Result<std::vector<Handle>>& parts);
  void sealed(const Operation& operation, std::uint32_t object, std::uint32_t name,
              const Result<Handle>& handle);
  void redeemed(const Operation& operation, const Token& token, const Result<Handle>& handle);
  void erased(const Operation& operation, std::uint32_t object, const Status& status);
  void erased_name(const Operation& operation, std::uint64_t erasure, const Status& status);

  void passed(const Operation& operation, std::uint64_t barrier, const Status& status);

  /// All that was done is mended, and was long ago: what holds from now on is what holds in a calm job, but
  /// for members that have died, and what was lost meanwhile.
  void all_is_well();
  /// A name that stands for something stands for an object that is there; and one that was put stands.
  void check_names(std::uint32_t names);

  /// An object that `holder`, who lives, has had a handle of since then, is there.
  void check_kept(MemberId holder, std::uint32_t object, TimePoint since);
  /// Has cached objects go, as an allocation of all the arena does; what they kept on disk goes a little
  /// later.
  Status evict_all(MemberId member);
  /// After everything was dropped and all names were erased: nothing is left of it.
  void check_empty(MemberId member);

  const std::vector<std::string>& violations() const noexcept { return violations_; }

 private:
  struct Silence {
    MemberId one, other;  ///< the same: a member that was stopped
    TimePoint start;
    std::optional<TimePoint> end;
  };
  /// Gets of many objects that need a member's memory.
  struct Many {
    std::uint32_t under_way = 0;
    TimePoint last_end;
  };
  struct Use {
    Operation operation;
    std::optional<TimePoint> end;
  };
  std::uint64_t bytes_of(const Operation& operation) const;
  bool may_lack_room(const Operation& operation, MemberId member) const;
  bool may_be_full(const Operation& operation, std::vector<MemberId> others) const;
  bool shared_memory_with_many(const Operation& operation, MemberId owner) const;
  bool had_memory_pinned(const Operation& operation, MemberId owner) const;
  TimePoint now() const { return cluster_.timeline().now(); }
  bool is_troubled(MemberId member) const { return troubled_.contains(member.value); }
  bool is_owners_life(const Object& object) const {
    return cluster_.lives(object.owner) == object.owner_life;
  }
  bool may_be_strangers(MemberId one, MemberId other) const {
    return cluster_.lives(one) > 1 || cluster_.lives(other) > 1;
  }
  bool were_silent(MemberId one, MemberId other, TimePoint after) const;
  Duration longest_trip() const;
  bool was_hurried(const Operation& operation) const;
  bool was_called_off(const Operation& operation) const;
  bool was_pending(const Operation& operation, const Object& object) const;
  bool may_be_gone(const Object& object, MemberId holder, TimePoint since) const;
  void complain(const Operation& operation, const Error& error);
  void complain(std::string what);
  void judge(const Operation& operation, const Object& object, const Error& error);
  bool may_be(const Operation& operation, const Object& object, const Error& error) const;
  bool may_be_from_disk(const Operation& operation, const Object& object, Code code) const;
  void check_nothing_spilled(MemberId member, const Holdings::Counts& counts);
  const Naming* stable(std::uint32_t name, TimePoint before) const;
  bool may_be_found(const Operation& operation, const Naming& naming) const;
  bool named_troubled(const Operation& operation, std::uint32_t name) const;
  void judge_named(const Operation& operation, std::uint32_t name, bool waited, const Error& error);
  MemberId home_of(std::uint32_t name) const;
  void judge_erase(const Operation& operation, bool concerned, const Status& status);
  void check_not_erased(const Operation& operation, std::uint32_t object);
  void check_bytes(const Operation& operation, std::uint32_t object, std::span<const std::byte> bytes,
                   const std::optional<ByteRange>& range);

  Cluster& cluster_;
  const Scenario& scenario_;
  std::map<std::uint32_t, Object> objects_;
  std::map<std::uint32_t, std::vector<Naming>> names_;
  /// Erases by name that are under way: what they may concern.
  struct Erasure {
    std::uint32_t name = 0;
    TimePoint start;
    std::vector<std::uint32_t> objects;
  };
  std::map<std::uint64_t, Erasure> erasures_;
  std::uint64_t next_erasure_ = 0;
  std::map<std::uint32_t, bool> troubled_;
  std::set<std::uint32_t> left_;              ///< of the troubled, those who only took their leave
  std::map<std::uint32_t, bool> bad_disks_;   ///< members whose disks have lost something, or refused it
  std::map<std::uint32_t, bool> full_disks_;  ///< or had no room
  std::map<std::uint32_t, bool> slow_disks_;  ///< or took long
  std::map<std::uint64_t, Use> uses_;         ///< by the operation's number
  std::map<std::uint32_t, Many> many_;        ///< by member
  struct Arrival {
    std::optional<TimePoint> heard;  ///< when rank 0 must have heard of it
  };
  std::map<std::uint64_t, std::map<std::uint32_t, Arrival>> arrivals_;  ///< by barrier and member
  std::map<std::uint32_t, TimePoint> pinned_until_;
  std::vector<Silence> silences_;
  std::vector<std::string> violations_;
};

/// A scenario's name.
Key key_of_name(std::uint32_t name);

}  // namespace holdfast::sim::test
