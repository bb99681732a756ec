// What this member owns and knows for others: its sealed objects, the names whose home it is, and who waits
// for either. All changes of the catalogue go through here, under one lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/object_id.h"
#include "src/catalogue.h"
#include "src/local_memory.h"
#include "src/neighbours.h"

namespace holdfast {

/// A request that is answered when a name is published or an object sealed.
struct Waiter {
  std::vector<std::byte> reply_to;
  std::uint64_t request = 0;
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

  /// `catalogue` is what allocate_catalogue gave. `neighbours` outlives this object. Errors: system (no
  /// memory).
  static Result<std::unique_ptr<Holdings>> create(std::shared_ptr<LocalMemory> memory,
                                                  const Neighbours& neighbours, MemberId rank,
                                                  std::uint64_t incarnation, CatalogueGeometry geometry,
                                                  const Block& catalogue);
  ~Holdings();

  /// An id for an object that is about to be written: its place in the catalogue is fetched meanwhile.
  ObjectId new_id() noexcept {
    const ObjectId id{incarnation_, next_object_.fetch_add(1, std::memory_order_relaxed)};
    catalogue_.prefetch(Key::of(id));
    return id;
  }
  std::uint64_t new_generation() noexcept { return next_generation_.fetch_add(1, std::memory_order_relaxed); }

  /// Memory for a block; frees what is not pinned any more when there seems to be no room. Errors: as
  /// LocalMemory::allocate.
  Result<Block> allocate(std::uint64_t bytes, std::uint64_t alignment, std::optional<numa::NodeId> node);

  /// Others may wait for an object that is not sealed yet.
  void promise(const ObjectId& id);
  /// The promise is not kept: who waits is told not_found.
  [[nodiscard]] std::optional<Notice> break_promise(const ObjectId& id);

  /// Enters an object whose block is complete. Errors: full.
  Result<std::optional<Notice>> seal(const ObjectId& id, const BlockLayout& layout, const Block& block);

  /// Notes that an object has a name, so that erasing it can take the name away. False if it is gone already.
  bool note_name(const ObjectId& id, const Key& name);

  struct Erased {
    std::optional<Key> name;      ///< it had
    bool awaiting_unpin = false;  ///< its block is still pinned: collect() frees it later
  };
  /// Takes an object out of the catalogue and frees its block, at once or when the last pin goes.
  /// Errors: not_found.
  Result<Erased> erase(const ObjectId& id);

  /// An object's entry, or the waiter is noted if the object is promised. Errors: not_found, full.
  Result<std::optional<Entry>> await_object(const ObjectId& id, const Waiter& waiter);

  // --- names whose home this member is

  /// Errors: exists, full.
  Result<std::optional<Notice>> publish(const Key& name, const Entry& entry);
  /// Takes the name out, if it stands for `id` (or for anything, if `id` is zero). Errors: not_found.
  Result<Entry> unpublish(const Key& name, const ObjectId& id);
  /// The name's entry, or the waiter is noted. Errors: full.
  Result<std::optional<Entry>> await_name(const Key& name, const Waiter& waiter);

  /// Forgets a waiter for an object or a name.
  void give_up(const Key& key, const Waiter& waiter);

  /// Frees erased blocks that nobody pins any more; true if some are left.
  bool collect();

  struct Counts {
    std::uint64_t objects = 0, object_bytes = 0, names = 0, awaiting_unpin = 0, waiters = 0, erases = 0;
  };
  Counts counts() const;

 private:
  /// What the owner knows of a catalogue slot beside what readers see. Trivial: the table is zeroed memory
  /// that is touched only where it is used.
  struct Record {
    numa::Extent extent;
    std::uint32_t segment;
    std::uint32_t named;
    std::uint64_t name_high, name_low;
  };
  struct FreeRecords {
    void operator()(Record* records) const noexcept;
  };
  Holdings(std::shared_ptr<LocalMemory> memory, const Neighbours& neighbours, MemberId rank,
           std::uint64_t incarnation, CatalogueWriter catalogue, Record* records);
  std::optional<Notice> take_waiters(const Key& key, Result<Entry> outcome);
  Status add_waiter(const Key& key, const Waiter& waiter);
  bool free_unless_pinned(const Block& block);

  std::shared_ptr<LocalMemory> memory_;
  const Neighbours& neighbours_;
  MemberId rank_;
  std::uint64_t incarnation_;
  std::atomic<std::uint64_t> next_object_{1};
  std::atomic<std::uint64_t> next_generation_{1};

  mutable std::mutex mutex_;
  CatalogueWriter catalogue_;
  std::unique_ptr<Record[], FreeRecords> records_;
  std::vector<Block> limbo_;  ///< erased, still pinned
  std::unordered_set<ObjectId> promised_;
  std::unordered_map<Key, std::vector<Waiter>, KeyHash> waiting_;
  Counts counts_;
};

}  // namespace holdfast
