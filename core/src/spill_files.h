// Objects on disk: many in each of a few large files, the segments.
//
// Single-threaded: one thread calls everything here and drives the disks. Nothing depends on real time, on
// randomness or on addresses, so the simulator can drive it, too. All bytes go through aligned buffers of its
// own, as many as `bytes_in_flight` says; who finds none waits, in order.
//
// A segment is written from its beginning to its end, then closed. Small objects are packed into batches, one
// write each; larger ones are written in pieces to a range of their own. An object's place, size and checksum
// are kept in memory only: the files mean nothing to another process. When half of a closed segment is dead,
// what lives in it is moved to the segment that is open, and its file is reused or removed: a byte is moved
// at most for each byte that has died. Writes wait while more than a few segments are to be compacted, so the
// files stay within twice of what lives and a few segments.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "src/disk.h"
#include "src/ready.h"
#include "src/spill_buffers.h"
#include "src/spill_segments.h"

namespace holdfast {

/// An object on disk. Stays the same however often the object is moved, and is never used twice. 0: none.
using SpillHandle = std::uint64_t;

class SpillFiles {
 public:
  /// One directory each, at least one; used in turn, segment by segment. Where there are several real ones,
  /// they were opened together (UringDisk::open): drive() drives the first.
  SpillFiles(std::vector<std::unique_ptr<Disk>> disks, const SpillOptions& options);
  /// Everything under way ends first, from inside this call, with timed_out; the tasks must start nothing
  /// here.
  ~SpillFiles();
  SpillFiles(const SpillFiles&) = delete;
  SpillFiles& operator=(const SpillFiles&) = delete;

  /// Puts a copy of `bytes` on disk: any address, any size from 1 B (larger than a segment: one of its own).
  /// They stay readable and as they are until it ends. Where a directory fails, the next one is tried.
  /// Errors: full (no directory has room), denied or system (none is left that takes writes; the detail says
  /// why, directory by directory), invalid (no bytes), timed_out (closing).
  Task<Result<SpillHandle>> write(std::span<const std::byte> bytes);

  /// Brings the bytes back; `into` has the size that was written, and holds nothing of use where this fails.
  /// Errors: corrupt (truncated or altered: names the file and the offset), system (I/O error, names the
  /// file; its directory takes no more writes), not_found (no such handle, or freed), invalid (size),
  /// timed_out (closing).
  Task<Status> read(SpillHandle handle, std::span<std::byte> into);

  /// The object is not needed any more; a read of it that is under way still gets its bytes. A handle that is
  /// none, or was freed, is passed over.
  void free(SpillHandle handle);

  /// Drives the disks: see Disk::drive().
  std::size_t drive(Deadline until) { return segments_.disks().front()->drive(until); }
  /// Makes drive() return. Any thread, while this lives.
  void wake() noexcept { segments_.disks().front()->wake(); }

  /// Some directory takes writes: what was refused was too large.
  bool writable() const { return segments_.writable(); }
  /// Grows when there may be room again.
  std::uint64_t room_made() const noexcept { return segments_.room_made(); }

  SpillStats stats() const { return segments_.stats(); }
  /// Nothing is under way: no write, no read, no compaction.
  bool idle() const noexcept { return tasks_ == 0; }

 private:
  struct Object {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;  ///< 0: the slot is free
    std::uint64_t checksum = 0;
    std::uint32_t segment = 0;
    std::uint32_t generation = 1;  ///< of the slot, in the handle
  };

  /// co_await it: until all that was counted in has ended.
  class Wait {
   public:
    bool await_ready() const noexcept { return pending == 0; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiting = waiter; }
    void await_resume() const noexcept {}

    unsigned pending = 0;
    std::optional<Error> error;  ///< the first
    bool unreadable = false;     ///< something that was to be moved
    SpillHandle handle = 0;      ///< of what was written
    std::coroutine_handle<> waiting;
  };

  /// Small objects that are written together. Its place in a segment is found when it goes.
  struct Batch {
    struct Item {
      std::uint64_t offset = 0;  ///< in the batch
      std::uint64_t bytes = 0;
      std::uint64_t checksum = 0;
      SpillHandle moved = 0;  ///< 0: a new object
      Wait* wait = nullptr;
    };
    SpillBuffer* buffer = nullptr;
    std::uint64_t used = 0;
    bool urgent = false;  ///< somebody waits for it who does not fill it
    std::vector<Item> items;
  };

  /// A read of a small object that waits to be done, together with its neighbours on disk. Lies in its
  /// coroutine.
  struct SmallRead {
    SpillPlace place;
    std::uint64_t checksum = 0;
    std::span<std::byte> into;
    Status status;
    Wait wait;
    std::list<SmallRead*>::iterator age;
  };

  /// The objects of one transfer.
  struct Span {
    std::uint32_t segment = 0;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
  };

  /// Objects of a segment that share sectors.
  struct Extent {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::vector<SpillHandle> objects{};
  };

  /// A part of an object on its way.
  struct Piece {
    SpillBuffer* buffer;
    std::uint64_t at;
    std::uint64_t bytes;
  };

  /// One of what idle() asks for, while it lives.
  class Busy {
   public:
    explicit Busy(std::uint64_t& count) noexcept : count_(count) { ++count_; }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() { --count_; }

   private:
    std::uint64_t& count_;
  };

  // spill_files.cpp: the objects, transfers.
  Object* find(SpillHandle handle) noexcept;
  SpillHandle handle_of(std::uint32_t object) const noexcept;
  SpillHandle add_object(SpillPlace place, std::uint64_t bytes, std::uint64_t checksum);
  void move_object(SpillHandle handle, SpillPlace to);
  void start_write(SpillBuffer& buffer, SpillPlace place, std::uint64_t bytes);
  void start_read(SpillBuffer& buffer, SpillPlace place, std::uint64_t bytes);
  void give_up(SpillPlace place, const Error& why);
  void ended(Wait& wait);

  // spill_write.cpp
  Task<Result<SpillHandle>> write_small(std::span<const std::byte> bytes);
  Task<Result<SpillHandle>> write_large(std::span<const std::byte> bytes);
  Task<Result<std::uint64_t>> write_pieces(SpillPlace place, std::span<const std::byte> bytes);
  Task<void> room_in_batch(std::uint64_t bytes);
  std::span<std::byte> append(std::uint64_t bytes, SpillHandle moved, Wait& wait);
  void flush();
  void flush_if_due();
  Task<void> write_batch(std::unique_ptr<Batch> batch);
  Task<Result<SpillPlace>> write_buffer(SpillBuffer& buffer, std::uint64_t bytes);

  // spill_read.cpp
  Task<Status> read_small(SpillPlace place, std::uint64_t checksum, std::span<std::byte> into);
  Task<Status> read_large(SpillPlace place, std::uint64_t checksum, std::span<std::byte> into);
  Task<void> read_pending();
  Task<Status> read_span(SpillBuffer& buffer, Span span, std::span<SmallRead* const> reads);
  static Span span_of(const SmallRead& read);
  std::vector<SmallRead*> take_neighbours(Span& span);
  bool join(Span& span, const SmallRead& read) const;
  void note_read(std::uint32_t segment, const Status& arrived);
  Status check(SpillPlace place, std::uint64_t bytes, std::uint64_t is, std::uint64_t expected) const;

  // spill_compaction.cpp
  void compact_if_due();
  bool behind() const noexcept;
  Task<void> compact_all();
  Task<void> compact(std::uint32_t segment);
  std::vector<std::uint32_t> objects_in_order(std::uint32_t segment) const;
  Task<std::size_t> move_small(std::span<const std::uint32_t> objects, std::uint32_t segment, Wait& moved);
  Task<void> move_large(std::uint32_t object, Wait& moved);
  Task<void> compact_in_place(std::uint32_t segment);
  std::vector<Extent> extents_of(std::uint32_t segment) const;
  Task<bool> move_extent(const Extent& extent, SpillPlace to);
  Task<Status> move_bytes(SpillPlace from, SpillPlace to, std::uint64_t bytes, bool& write_failed);

  const std::uint64_t transfer_;  ///< most bytes of a transfer
  const std::uint64_t small_;     ///< largest object that goes into a batch
  const std::uint32_t readers_;   ///< most coroutines that read small objects
  SpillSegments segments_;
  Ready ready_;
  SpillBuffers buffers_;
  std::vector<Object> objects_;
  std::vector<std::uint32_t> free_objects_;
  std::uint64_t tasks_ = 0;

  std::unique_ptr<Batch> batch_;  ///< that is being filled
  unsigned writing_ = 0;          ///< batches and large objects being written

  std::list<SmallRead*> reads_;  ///< oldest first
  std::multimap<std::pair<std::uint32_t, std::uint64_t>, SmallRead*> reads_by_place_;
  std::uint32_t reading_ = 0;  ///< coroutines that do them

  bool compacting_ = false;
  std::deque<Wait*> held_up_;  ///< writes that wait for compaction
};

}  // namespace holdfast
