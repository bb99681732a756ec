// What this member owns and knows for others: its sealed objects and what keeps them, the names whose home it
// is, and who waits for either. All changes of the catalogue go through here, under one lock.
//
// An object is kept by its name, by handles of this process, and by what the Holders know of. One that
// nothing keeps is erased (collection `eager`), or stays readable as cache until room is needed (`lazy`).
// One that is kept is in memory, or on disk until somebody asks for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/latency.h"
#include "holdfast/object_id.h"
#include "holdfast/options.h"
#include "src/admission.h"
#include "src/catalogue.h"
#include "src/eviction.h"
#include "src/holders.h"
#include "src/local_memory.h"
#include "src/neighbours.h"
#include "src/references.h"

namespace holdfast {

class Peers;

/// A request that is answered when a name is published or an object sealed.
struct Waiter {
  std::vector<std::byte> reply_to;
  std::uint64_t request = 0;
  MemberId from;
  TimePoint until = TimePoint::max();  ///< nobody waits for the answer any more
};

/// Waiters to be told now, and what: the entry, or an error.
struct Notice {
  std::vector<Waiter> waiters;
  Result<Entry> outcome;
};

class Holdings {
 public:
  /// Bound on waiters; more are refused with `full`.
  static constexpr std::size_t kMostWaiters = 1U << 20;

  /// Memory in the arena for a catalogue; zeroed, as all of a fresh arena is.
  /// Errors: invalid (it does not fit).
  static Result<Block> allocate_catalogue(LocalMemory& memory, const CatalogueGeometry& geometry);

  struct Parts {
    const Clock& clock;
    std::shared_ptr<LocalMemory> memory;
    const Neighbours& neighbours;
    References& references;  ///< of this process
    MemberId rank;
    std::uint64_t incarnation = 0;
    LifetimeOptions lifetime;
  };
  /// `catalogue` is what allocate_catalogue gave. The parts outlive this object. Errors: system (no memory).
  static Result<std::unique_ptr<Holdings>> create(const Parts& parts, CatalogueGeometry geometry,
                                                  const Block& catalogue);
  ~Holdings();

  /// An id for an object that is about to be written: its place in the catalogue is fetched meanwhile.
  ObjectId new_id() noexcept {
    const ObjectId id{incarnation_, next_object_.fetch_add(1, std::memory_order_relaxed)};
    __builtin_prefetch(&records_[catalogue_.prefetch(Key::of(id))], 1);
    return id;
  }
  std::uint64_t new_generation() noexcept { return next_generation_.fetch_add(1, std::memory_order_relaxed); }

  /// Memory for a block, on the nearest node. Where there is no room, frees what is not pinned any more, then
  /// evicts cached objects, as much as is asked for and a tenth of a segment, nearest node first: another
  /// node comes next where that does not help. Errors: as LocalMemory::allocate.
  Result<Block> allocate(std::uint64_t bytes, std::uint64_t alignment, std::optional<numa::NodeId> node);

  /// The same for an object, which needs an entry of the catalogue as well: that is reserved for it, cached
  /// objects give way for it, too. seal() uses it up; who does not come so far gives it back.
  Result<Block> allocate_object(std::uint64_t bytes, std::uint64_t alignment,
                                std::optional<numa::NodeId> node);
  void give_entry_back() noexcept;

  /// The same, in line with others that wait for room. The error says what holds the memory.
  Result<Block> allocate_in_line(std::uint64_t bytes, std::uint64_t alignment,
                                 std::optional<numa::NodeId> node, Duration timeout);

  /// Somebody begins to wait for room: who holds something here is asked to tell what it has dropped.
  void note_shortage();

  /// Whether waiting may help who found no room: something is, or can be, moved to disk.
  bool may_make_room() const;

  /// Others may wait for an object that is not sealed yet. A handle of this process is counted.
  void promise(const ObjectId& id);
  /// The promise is not kept: who waits is told not_found.
  [[nodiscard]] std::optional<Notice> break_promise(const ObjectId& id);

  enum class ItsEntry : std::uint8_t {
    reserved,  ///< by allocate_object()
    to_be_found,
  };
  /// Enters an object whose block is complete. A handle of this process is counted. It keeps its parts as
  /// long as it is there. Errors: full; what is reserved stays so then.
  Result<std::optional<Notice>> seal(const ObjectId& id, const BlockLayout& layout, const Block& block,
                                     std::vector<Part> parts = {}, ItsEntry its = ItsEntry::to_be_found);

  /// What an object declares to be part of it. Errors: not_found.
  Result<std::vector<Entry>> parts_of(const ObjectId& id) const;

  /// Notes that an object has a name, so that erasing it can take the name away. False if it is gone already.
  bool note_name(const ObjectId& id, const Key& name, MemberId home);
  /// Whether an object that has a name is kept by it: not if the home was given up meanwhile. Nothing if the
  /// object has gone.
  std::optional<bool> kept_by_name(const ObjectId& id) const;

  struct Erased {
    std::optional<Key> name;      ///< it had
    bool awaiting_unpin = false;  ///< its block is still pinned: collect() frees it later
  };
  /// Takes an object out of the catalogue and frees its block, at once or when the last pin goes.
  /// Errors: not_found.
  Result<Erased> erase(const ObjectId& id);

  /// An object's entry, or the waiter is noted if the object is promised. Errors: not_found, full.
  Result<std::optional<Entry>> await_object(const ObjectId& id, const Waiter& waiter);

  // --- what keeps objects (holdings_lifetime.cpp)

  /// Counts a handle of this process, if the object is there, or promised, and the token is good (its number
  /// is 0 where there is none). Errors: not_found, expired.
  Status hold_own(const ObjectId& id, const TokenId& token);

  /// The same for another member. Errors: not_found, expired.
  Status hold(MemberId member, const HoldRequest& request);

  /// A token for an object of this process's own.
  TokenId make_token(const ObjectId& id);

  /// What a member reports: first its tokens, then its drops.
  void add_token(const ObjectId& id, const TokenId& token);
  void drop(const ObjectId& id, MemberId member, std::uint64_t number);
  /// Takes back one hold, of which the member did not hear that it was granted.
  void undo_hold(const ObjectId& id, MemberId member, std::uint64_t number);

  /// Of a member that was only silent they stay until their time has come: it may go on.
  enum class Waiters : std::uint8_t { go, stay };
  /// Drops all that the member holds, forgets what it waits for, and lets go of objects by names whose home
  /// it was: nobody finds them there any more. Gives those names: the member may only have been silent.
  std::vector<std::pair<Key, ObjectId>> member_lost(MemberId member, const Peers& peers,
                                                    Waiters waiters = Waiters::go);
  /// Members that hold something here.
  std::vector<MemberId> holding_members() const;
  /// While others wait here, or are the homes of names of objects here: one of those that ever did or were,
  /// the next after `last` in turn.
  std::optional<MemberId> next_concerned(MemberId last) const;

  /// True once after holds, tokens, names or waiters have come: there may be somebody to look after, and
  /// something to end.
  bool take_news() noexcept { return news_.exchange(false, std::memory_order_acq_rel); }
  /// True once after somebody has begun to wait for room: who holds something here should tell what it has
  /// dropped.
  bool take_shortage() noexcept { return shortage_.exchange(false, std::memory_order_acq_rel); }
  std::optional<TimePoint> next_expiry() const;

  /// Ends tokens whose time has come, and counts handles of this process that have gone. When the next token
  /// ends, if there is one.
  std::optional<TimePoint> tidy();

  // --- objects on disk (holdings_spill.cpp, holdings_restore.cpp); all but await_resident() for the Spiller
  // alone

  /// What a Spiller is told by: called with the lock held when there is something for it to do.
  void set_spiller(std::function<void()> wake);

  /// An object's entry with its block in memory, or the waiter is noted and the block brought back. A waiter
  /// without address is not told. Errors: not_found, full.
  Result<std::optional<Entry>> await_resident(const ObjectId& id, const Waiter& waiter);

  /// An object to be written to disk; it is pinned, and stays where it is, until spilled() or kept_back().
  struct Spill {
    ObjectId id;
    std::span<const std::byte> bytes;
    std::uint64_t room = 0;  ///< that it frees
    std::uint32_t pin = 0;
    TimePoint started{};
    std::uint16_t segment = 0;
  };
  static constexpr std::uint64_t kAnySize = ~std::uint64_t{0};
  /// The coldest, if more is kept in memory than should be, or somebody waits for room. Those of which the
  /// disk has a copy already leave at once, also where the disks refuse writes: others come back in their
  /// place. Objects of `refused_from` bytes and more are not to be written.
  std::optional<Spill> next_spill(std::uint64_t refused_from = kAnySize);
  /// `copy`: by which the files know it. The block is freed unless it was pinned meanwhile.
  void spilled(const Spill& spill, std::uint64_t copy);
  /// It could not be written: it stays in memory.
  void kept_back(const Spill& spill);
  /// What is not written any more, until copies have gone, and why: for people.
  void note_refusal(std::string what);

  struct Restore {
    ObjectId id;
    BlockLayout layout;
    std::uint64_t copy = 0;      ///< 0: it has been erased, there is nothing to read
    std::span<std::byte> bytes;  ///< to be read
    Block block;
    TimePoint asked{};
    TimePoint left{};  ///< when it left memory
  };
  /// The next object to be brought back, if there is one and room for it.
  std::optional<Restore> next_restore();
  /// It was read: it is in memory again, and who waits for it is to be told.
  [[nodiscard]] std::optional<Notice> restored(const Restore& restore);
  /// It could not be read; it stays on disk, and the next who asks has it tried again.
  [[nodiscard]] std::optional<Notice> not_restored(const Restore& restore, Error error);
  /// Objects wait to be brought back, or puts for room, that found none.
  bool short_of_room() const;
  /// And somebody waits for it.
  bool room_is_awaited() const;

  std::uint64_t arena_bytes() const noexcept { return memory_->arena().bytes(); }
  void note_thrashing();

  /// Objects that members, this one or others, have got: the coldest leave first. By the low halves of their
  /// ids.
  void used(std::span<const std::uint64_t> objects);

  /// Copies of objects that have gone.
  std::vector<std::uint64_t> take_dead_copies();

  // --- names whose home this member is

  /// Errors: exists, full.
  Result<std::optional<Notice>> publish(const Key& name, const Entry& entry);
  /// Takes the name out, if it stands for `id` (or for anything, if `id` is zero). Errors: not_found.
  Result<Entry> unpublish(const Key& name, const ObjectId& id);
  /// The name's entry, or the waiter is noted. Errors: full.
  Result<std::optional<Entry>> await_name(const Key& name, const Waiter& waiter);

  /// The entry of an object of this member's, or of a name whose home it is. Errors: not_found.
  Result<Entry> look(const Key& key) const;

  /// Forgets a waiter for an object or a name.
  void give_up(const Key& key, const Waiter& waiter);
  /// Forgets, from time to time, those whose time has passed: that they gave up may have been lost.
  void forget_late_waiters();

  /// Frees erased blocks that nobody pins any more.
  void collect();
  bool awaits_unpin() const noexcept { return awaiting_unpin_.load(std::memory_order_relaxed) != 0; }

  struct Counts {
    std::uint64_t objects = 0, object_bytes = 0, names = 0, awaiting_unpin = 0, waiters = 0, erases = 0;
    std::uint64_t collected = 0, collected_bytes = 0;  ///< eager
    std::uint64_t evictions = 0, evicted_bytes = 0;
    std::uint64_t cached = 0, cached_bytes = 0;  ///< objects that nothing keeps
    std::uint64_t memory_bytes = 0;              ///< blocks of objects in memory
    std::uint64_t on_disk = 0, on_disk_bytes = 0;
    std::uint64_t spilling = 0, spilling_bytes = 0;  ///< being written
    std::uint64_t returning = 0;                     ///< to be brought back, or on the way
    std::uint64_t spills = 0, spilled_bytes = 0, restores = 0, restored_bytes = 0;
    std::uint64_t moved = 0, moved_bytes = 0;  ///< blocks, to join free memory
    std::uint64_t thrashing = 0;
    std::uint64_t puts_waiting = 0, puts_waited = 0;
    LatencyHistogram put_waits, spill_times, restore_times;
    struct Segment {
      std::uint64_t objects = 0, kept = 0, cached = 0,
                    spilling = 0;  ///< objects in memory, and bytes of blocks
      std::uint64_t pinned = 0;    ///< bytes of blocks, erased ones included
      std::uint64_t evictions = 0, spills = 0, restores = 0;
    };
    std::vector<Segment> segments;
    std::uint64_t held_elsewhere = 0;  ///< objects that other members or tokens keep
    std::uint64_t promised = 0;        ///< not sealed yet
    std::uint64_t with_parts = 0;
  };
  /// What is known of an object, and what becomes of it: some lines for people.
  std::string why(const ObjectId& id) const;

  Counts counts() const;  ///< looks at the headers of pinned blocks

 private:
  /// What the owner knows of a catalogue slot beside what readers see. Trivial: the table is zeroed memory
  /// that is touched only where it is used.
  struct alignas(kCacheLine) Record {
    std::uint64_t offset, bytes;  ///< of the block's extent in its segment
    std::uint32_t block;          ///< its handle
    std::uint32_t handles;        ///< of this process
    std::uint64_t name_high, name_low;
    std::uint64_t copy;     ///< on disk; 0: none
    TimePoint stays_until;  ///< in memory: who had it brought back has got it by then; on disk: when it left
    std::uint16_t segment;
    std::uint16_t spills;  ///< at most 65535 are counted
    enum class Place : std::uint8_t {
      memory,
      leaving,     ///< in memory, and being written
      disk,        ///< and nowhere else
      prefetched,  ///< on disk, to be brought back though nobody waits: in that line
      asked,       ///< on disk, and somebody waits for it: in that line
      arriving,    ///< being read
    } place;
    enum class Queue : std::uint8_t { none, kept, cache } queue;  ///< in which of the sets below
    enum class Name : std::uint8_t {
      none,
      keeps,
      lost,  ///< its home is dead, or seemed to be: it keeps the object no more
    } name;
    std::uint8_t alignment_log;

    numa::Extent extent() const noexcept { return {offset, bytes, block}; }
    void lie_in(std::size_t in_segment, const numa::Extent& extent) noexcept {
      segment = static_cast<std::uint16_t>(in_segment);
      offset = extent.offset;
      bytes = extent.bytes;
      block = extent.handle;
    }
  };
  static_assert(sizeof(Record) == kCacheLine);
  using Lock = std::unique_lock<std::mutex>;
  using Records = ZeroedArray<Record>;
  Holdings(const Parts& parts, CatalogueWriter catalogue, Records records);
  std::optional<Notice> take_waiters(const Key& key, Result<Entry> outcome);
  template <class Which>
  void forget_waiters(Which&& which);
  void note_concerned(MemberId member);
  Status add_waiter(const Key& key, const Waiter& waiter);
  bool free_unless_pinned(const Block& block);

  // All with the lock.
  void free_unpinned();
  Record take_out(std::uint64_t slot, const Entry& entry);
  Block block_of(const Entry& entry, const Record& record) const;
  void count_in(const Record& record, bool in);
  void count_pinned(Counts& counts) const;
  void enqueue(const ObjectId& id, Record& record, Record::Queue queue);
  void want(std::uint64_t bytes);
  std::uint64_t wanted() const;
  bool hide(std::uint64_t slot, const Entry& entry);
  void show(std::uint64_t slot, const Entry& entry);
  bool leave_memory(std::uint64_t slot, const Entry& entry);
  std::optional<std::uint64_t> end_of_spill(const Spill& spill);
  bool somebody_waits() const;  // with the lock
  void renew_reserve();
  void reserve_again(std::uint64_t bytes);
  std::uint64_t open_reserve();
  std::optional<Notice> nobody_comes(const ObjectId& id);
  void stay_on_disk(const ObjectId& id);
  struct Line;
  std::optional<Restore> next_in(Line& line, Lock& lock);
  bool belongs_in(const Line& line, const ObjectId& id);
  void give_prefetches_up();
  bool stalled() const;
  std::optional<Block> block_for_first(numa::NodeId node, const BlockLayout& layout, Lock& lock);
  std::optional<Block> block_behind_first(numa::NodeId node, const BlockLayout& layout);
  std::string what_holds_memory() const;
  std::string what_holds_entries() const;
  void wake_spiller() const {
    if (wake_spiller_) wake_spiller_();
  }
  bool kept(const ObjectId& id, const Record& record) const;
  void settle(const ObjectId& id);
  void note_token(const ObjectId& id, const TokenId& token);
  Status may_hold(const ObjectId& id, const TokenId& token) const;
  void count_own_drops();
  Result<std::uint64_t> insert(const Key& key, const Entry& entry, ItsEntry its);
  bool reserve_entry() noexcept;
  bool make_entry();
  std::uint64_t reserved_entries() const noexcept;
  void remove_entry(const Key& key);
  Result<Block> allocate_evicting(std::uint64_t bytes, std::uint64_t alignment,
                                  std::optional<numa::NodeId> node, Lock& lock);
  bool evict_one(std::size_t segment);
  bool evict_any();
  bool make_room(std::size_t segment, std::uint64_t bytes);
  bool eviction_may_help(std::size_t segment, std::uint64_t bytes) const;
  std::uint64_t cached_bytes() const;

  // Joining free memory (holdings_move.cpp), with the lock, which is let go and taken again meanwhile.
  struct Movable;
  bool make_hole(std::uint64_t bytes, std::uint64_t alignment, Lock& lock);
  bool join_holes(std::size_t segment, std::uint64_t needed, Lock& lock);
  std::vector<Movable> best_stretch(std::size_t segment, std::uint64_t needed) const;
  std::vector<Movable> movable_in(std::size_t segment) const;
  bool still_lies(const Movable& piece, std::size_t segment) const;
  bool move_down(std::uint64_t slot, numa::Extent& space);

  bool free_or_await_unpin(const Block& block);

  const Clock& clock_;
  std::shared_ptr<LocalMemory> memory_;
  const Neighbours& neighbours_;
  References& references_;
  MemberId rank_;
  std::uint64_t incarnation_;
  LifetimeOptions lifetime_;
  std::atomic<std::uint64_t> next_object_{1};
  std::atomic<std::uint64_t> next_generation_{1};

  /// Entries of the catalogue that are used or reserved; also without the lock.
  alignas(kCacheLine) std::atomic<std::uint64_t> entries_taken_{0};
  alignas(kCacheLine) mutable std::mutex mutex_;
  CatalogueWriter catalogue_;
  Records records_;
  Holders holders_;
  std::uint64_t last_token_ = 0;
  /// Objects that nothing keeps, a set for each segment, by the low halves of their ids.
  std::vector<std::unique_ptr<EvictionPolicy>> cache_;
  std::unique_ptr<EvictionPolicy> kept_;  ///< those that something keeps, in memory; null without disk
  std::uint64_t most_kept_;               ///< bytes in kept_ beyond which some are written to disk
  std::uint64_t wanted_ = 0;              ///< bytes that somebody waits for, see wanted()
  TimePoint wanted_until_;
  /// Objects to be brought back, in the order in which they were asked for. Some may be there no more.
  struct Line {
    struct Returning {
      ObjectId id;
      TimePoint asked;
    };
    Record::Place place;  ///< of who belongs in it
    std::deque<Returning> all{};
    std::optional<TimePoint> no_room_since{};  ///< for the first of them
  };
  Line asked_{Record::Place::asked};
  std::uint64_t erased_asked_ = 0;  ///< objects in it that were erased, at most
  Line prefetched_{Record::Place::prefetched};
  TimePoint last_left_{};  ///< memory for the disk
  std::vector<std::uint64_t> dead_copies_;
  std::optional<Block> reserve_;            ///< for bringing back, while something is on disk
  std::uint64_t largest_on_disk_ = 0;       ///< so far, bytes
  std::atomic<bool> restore_waits_{false};  ///< for room that is being made: puts stand back
  std::string disk_refuses_;                ///< why nothing more is written; empty: it is
  struct {
    std::uint64_t bytes = ~0ULL, free = 0;
    TimePoint until;
  } no_hole_;  ///< for which none could be made, with how much free; not to be tried again for a while
  std::function<void()> wake_spiller_;
  Admission admission_;
  std::vector<ObjectId> own_drops_;             ///< for count_own_drops
  std::vector<Block> limbo_;                    ///< erased, still pinned
  std::atomic<std::size_t> awaiting_unpin_{0};  ///< their number
  std::atomic<bool> news_{false};
  std::atomic<bool> shortage_{false};
  std::unordered_map<ObjectId, std::vector<Part>> parts_;
  std::unordered_map<ObjectId, std::uint32_t> promised_;  ///< with the handles of this process
  std::unordered_map<Key, std::vector<Waiter>, KeyHash> waiting_;
  std::set<MemberId>
      concerned_;  ///< others that have waited here, or have been homes of names of objects here
  std::uint64_t named_objects_ = 0;  ///< of this member, that their names keep
  TimePoint look_for_late_at_{};     ///< waiters
  Counts counts_;
};

}  // namespace holdfast
