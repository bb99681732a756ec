// The hash table at the head of an arena, that readers search without asking: in shared memory on the same
// host, by one remote read of a bucket elsewhere. Written by its owner alone.
//
// A bucket is four cache lines: an index line and three entry slots. The index line holds, for each entry
// whose key hashes to the bucket, a 16-bit tag and how many slots further on the entry lies; usually 0 to 2,
// in the bucket itself. Tags within a bucket are made distinct by a seed. So a look-up touches the index line
// and at most one entry line, at any load; nothing is ever moved.
//
// One bucket in thirty million has more keys than its index line can refer to, at 80 % load. It is marked as
// overflowed for good, and further keys go to the bucket of another hash: only their look-ups, and those of
// keys that are absent there, touch the lines of a second bucket.
//
// Every line carries a version (odd while it is written) and a checksum of its own.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "holdfast/base/clock.h"
#include "holdfast/base/random.h"
#include "holdfast/base/result.h"
#include "holdfast/object_id.h"
#include "src/block.h"
#include "src/zeroed_array.h"

namespace holdfast {

/// What is looked up: an object's id, or the hash of a name.
struct Key {
  enum class Kind : std::uint32_t { object = 1, name = 2 };
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  Kind kind = Kind::object;

  static Key of(const ObjectId& id) noexcept { return {id.high, id.low, Kind::object}; }
  friend bool operator==(const Key&, const Key&) = default;
};

struct KeyHash {
  std::size_t operator()(const Key& key) const noexcept {
    return mix64(key.high + mix64(key.low + static_cast<std::uint64_t>(key.kind)));
  }
};

/// Under which key an entry is kept whose own bucket is full.
Key second_place(const Key& key) noexcept;

/// What the catalogue says of a key. For an object, `id` repeats the key and the owner is the arena's.
struct Entry {
  /// Where no block lies.
  static constexpr std::uint64_t kOnDisk = ~std::uint64_t{0} & ~(kCacheLine - 1);

  ObjectId id;
  std::uint64_t location =
      0;  ///< of the block in the owner's arena, or kOnDisk: the owner has to bring it back
  BlockLayout layout;
  MemberId owner;
  bool on_disk() const noexcept { return location == kOnDisk; }
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// One cache line of words; every word is read and written atomically.
using CatalogueLine = std::array<std::atomic<std::uint64_t>, 8>;
struct alignas(256) CatalogueBucket {
  static constexpr std::size_t kSlots = 3;
  CatalogueLine index;
  std::array<CatalogueLine, kSlots> slots;
};
static_assert(sizeof(CatalogueBucket) == 256);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// Bucket numbers and tags, the same for owner and readers.
struct CatalogueGeometry {
  std::uint64_t buckets = 0;

  static CatalogueGeometry for_entries(std::uint64_t entries) noexcept;
  std::uint64_t bytes() const noexcept { return buckets * sizeof(CatalogueBucket); }
  std::uint64_t slots() const noexcept { return buckets * CatalogueBucket::kSlots; }
  /// Entries at which insert() begins to refuse; 95 % of the slots.
  std::uint64_t capacity() const noexcept { return slots() - slots() / 20; }
  std::uint64_t bucket_of(const Key& key) const noexcept;
  /// The slot `distance` after the first of bucket `home`; the table is a ring.
  std::uint64_t slot_at(std::uint64_t home, std::uint64_t distance) const noexcept {
    const std::uint64_t slot = home * CatalogueBucket::kSlots + distance;
    return slot >= slots() ? slot - slots() : slot;
  }
};

/// An entry as a reader in the same memory found it, to look again after pinning.
struct Found {
  Entry entry;
  const std::atomic<std::uint64_t>* version = nullptr;
  std::uint64_t version_seen = 0;

  /// True if the entry has not been changed since. Sequentially consistent: ordered after the reader's pin.
  bool still_there() const noexcept { return version->load(std::memory_order_seq_cst) == version_seen; }
};

enum class CatalogueLook : std::uint8_t {
  found,
  absent,
  changing,  ///< a line did not come to rest in time: its owner has lost its core, or was stopped
  damaged,   ///< a line's checksum does not fit, though it is not being changed, or it never comes to rest
};

/// How long a look-up waits for a line that is being changed, which takes ten nanoseconds while its owner has
/// a core. One that takes longer has lost its writer, or was never written by one.
inline constexpr Duration kLongestPatience = std::chrono::milliseconds(500);
/// Even when there is no time left: what an owner that lost its core may need to get it back.
inline constexpr Duration kLeastPatience = std::chrono::milliseconds(5);
inline Duration patience_for(Duration time_left) noexcept {
  return std::clamp(time_left, kLeastPatience, kLongestPatience);
}

/// Reads a catalogue that is mapped here.
class CatalogueReader {
 public:
  CatalogueReader() = default;
  CatalogueReader(const CatalogueBucket* buckets, CatalogueGeometry geometry) noexcept
      : buckets_(buckets), geometry_(geometry) {}

  /// Fills `found` if the key is there. The hot path of every get. Waits for a line at most for `patience`.
  CatalogueLook look(const Key& key, Found& found, Duration patience) const noexcept;

  /// The same for those who are in less of a hurry. Errors: corrupt (damaged), timed_out (changing).
  Result<std::optional<Found>> find(const Key& key, Duration patience = kLongestPatience) const;

 private:
  CatalogueLook look_at(const Key& key, Found& found, bool& overflowed, Duration patience) const noexcept;

  const CatalogueBucket* buckets_ = nullptr;
  CatalogueGeometry geometry_;
};

/// What a copy of a bucket's bytes, fetched by a remote read, says of a key.
struct RemoteLook {
  enum class Says : std::uint8_t {
    found,  ///< `entry`
    absent,
    elsewhere,  ///< the entry lies in slot `slot` of the table: read that line and call look_in_slot
    torn,       ///< the bucket was changed while it was read: read again
  };
  Says says = Says::torn;
  Entry entry;
  std::uint64_t slot = 0;
  bool overflowed = false;  ///< if the key is absent here, it may be in the bucket of second_place(key)
};
RemoteLook look_in_bucket(std::span<const std::byte, sizeof(CatalogueBucket)> bytes, const Key& key,
                          const CatalogueGeometry& geometry) noexcept;
RemoteLook look_in_slot(std::span<const std::byte, sizeof(CatalogueLine)> bytes, const Key& key) noexcept;

/// Byte offset of a slot from the catalogue's start.
constexpr std::uint64_t slot_offset(std::uint64_t slot) noexcept {
  return slot / CatalogueBucket::kSlots * sizeof(CatalogueBucket) + sizeof(CatalogueLine) +
         slot % CatalogueBucket::kSlots * sizeof(CatalogueLine);
}

/// The owner's side. One thread at a time (the caller's lock).
///
/// What readers see lies open to every stray pointer of this process and its neighbours. The owner, who frees
/// and overwrites by what it says, never reads it: it has a copy of each line of its own, and writes lines
/// whole from there, so that damage ends where the line is written next.
class CatalogueWriter {
 public:
  /// `buckets` is zeroed memory of geometry.bytes() bytes that outlives the writer. Takes as much again of
  /// the process's own, page by page where it is used. Errors: system (no memory for that).
  static Result<CatalogueWriter> create(CatalogueBucket* buckets, CatalogueGeometry geometry);

  /// The slot the entry went to: small numbers, for tables beside the catalogue.
  /// Errors: exists, full (95 % of the slots are used, or a bucket's index is).
  Result<std::uint64_t> insert(const Key& key, const Entry& entry);

  /// The key's slot, if it is there.
  std::optional<std::uint64_t> slot_of(const Key& key) const;

  Entry read(std::uint64_t slot) const;

  /// Says of an entry that its block lies elsewhere now. When it returns, a reader that found the entry
  /// before and looks again sees that it has changed.
  void move(std::uint64_t slot, std::uint64_t location);

  /// Takes the entry out. When it returns, no reader can find it, and a reader that found it before and looks
  /// again sees that it has changed. The slot may be used by the next insert.
  void remove(const Key& key);

  /// Brings the lines that an insert of the key will write into this core's cache. The slot that it will get
  /// if that one is free. Any thread.
  std::uint64_t prefetch(const Key& key) const noexcept {
    const std::uint64_t home = geometry_.bucket_of(key);
    __builtin_prefetch(&buckets_[home].index, 1);
    __builtin_prefetch(&buckets_[home].slots[0], 1);
    __builtin_prefetch(&own_[home].index, 1);
    __builtin_prefetch(&own_[home].slots[0], 1);
    return home * CatalogueBucket::kSlots;
  }

  std::uint64_t entries() const noexcept { return entries_; }
  const CatalogueGeometry& geometry() const noexcept { return geometry_; }

 private:
  using Words = std::array<std::uint64_t, 8>;
  struct alignas(kCacheLine) OwnBucket {
    Words index;
    std::array<Words, CatalogueBucket::kSlots> slots;
  };
  CatalogueWriter(CatalogueBucket* buckets, CatalogueGeometry geometry, ZeroedArray<OwnBucket> own,
                  ZeroedArray<std::uint64_t> used);
  std::uint64_t used_words() const noexcept { return (geometry_.slots() + 63) / 64; }
  std::optional<std::uint64_t> free_slot_near(std::uint64_t first) const;
  Words& own_line(std::uint64_t slot) const noexcept {
    return own_[slot / CatalogueBucket::kSlots].slots[slot % CatalogueBucket::kSlots];
  }
  void write_slot(std::uint64_t slot, const Words& words);
  void write_index(std::uint64_t bucket, const Words& words);
  std::optional<std::uint64_t> slot_at(const Key& key) const;
  Result<std::uint64_t> insert_at(const Key& key, const Entry& entry);
  void remove_at(const Key& key);
  bool retag(std::uint64_t home, std::uint64_t newcomer, std::uint64_t distance);

  CatalogueBucket* buckets_;
  CatalogueGeometry geometry_;
  ZeroedArray<OwnBucket> own_;       ///< what the lines are to be
  ZeroedArray<std::uint64_t> used_;  ///< a bit a slot
  std::uint64_t entries_ = 0;
};

}  // namespace holdfast
