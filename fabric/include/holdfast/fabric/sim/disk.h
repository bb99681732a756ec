// A disk under virtual time: files in memory, with what disks cost and how they fail.
//
// Reads and writes go through one queue, as with O_DIRECT: the device moves one thing at a time at its
// bandwidth, and each is through its latency after. Writes that completed survive a crash; of those under way
// a prefix of whole sectors does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/fabric/fabric.h"
#include "holdfast/fabric/sim/timeline.h"

namespace holdfast::sim {

struct DiskOptions {
  Duration latency = std::chrono::microseconds(80);
  Duration jitter{0};                                    ///< each takes up to this longer, by seed
  std::uint64_t write_bytes_per_second = 2'000'000'000;  ///< at least 1
  std::uint64_t read_bytes_per_second = 2'500'000'000;   ///< at least 1
  std::uint64_t capacity = ~std::uint64_t{0};            ///< bytes in all files
  std::uint32_t sector_bytes = 4096;                     ///< what is written whole or not at all; at least 1
  std::uint32_t max_waiting = 4096;                      ///< operations under way; more complete with full
  bool trace_contents = true;                            ///< fold checksums of the bytes into the trace
};

struct FileId {
  std::uint32_t value = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

enum class DiskAction : std::uint8_t { write, read };

/// What a fault is chosen by.
struct DiskOperation {
  DiskAction action = DiskAction::write;
  std::string_view file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t number = 0;  ///< of this disk's operations, from 0
};

class Disk {
 public:
  /// `timeline` outlives the disk. `id` tells disks apart in the trace and in their randomness.
  Disk(Timeline& timeline, std::uint32_t id, const DiskOptions& options);
  ~Disk();  ///< what is under way completes with timed_out and must not start more
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  /// A new empty file. Errors: exists.
  Result<FileId> create(std::string_view name);
  /// One that is there. Errors: not_found.
  Result<FileId> open(std::string_view name) const;
  /// Errors: not_found (removed).
  Result<std::uint64_t> size(FileId file) const;
  /// Its name and its id are gone at once; its space when what is under way on it has ended. Errors:
  /// not_found.
  Status remove(std::string_view name);
  /// All names, sorted.
  std::vector<std::string> list() const;
  std::uint64_t used() const noexcept { return used_; }

  /// Starts writing `bytes` at `offset`; the file grows as needed, a gap reads as zeros. The caller keeps
  /// `bytes` as they are until the completion, which is called by a later event of the timeline. Errors
  /// there: full (capacity, or max_waiting), not_found (removed), invalid (offset beyond 2^48), system (I/O
  /// error: any prefix may have been written), timed_out (crash or destructor).
  void write(FileId file, std::uint64_t offset, std::span<const std::byte> bytes,
             fabric::Completion& completion);
  /// Starts reading; `into` is written at the completion. Errors as for write, and invalid where the range is
  /// not in the file.
  void read(FileId file, std::uint64_t offset, std::span<std::byte> into, fabric::Completion& completion);

  /// Asked for each operation as it starts: a code makes it fail with that when its time has come.
  void set_fault(std::function<std::optional<Code>(const DiskOperation&)> fault) {
    fault_ = std::move(fault);
  }
  /// May be less than what is used: then nothing more fits.
  void set_capacity(std::uint64_t bytes) noexcept { options_.capacity = bytes; }
  /// Everything that starts from now on takes `factor` times as long; 1 is as before.
  void slow(std::uint32_t factor);
  /// The process that uses it is stopped, or runs again: what ends meanwhile is told when it does.
  void pause() noexcept { paused_ = true; }
  void resume();
  /// Alters a byte of each file, by seed, as an ageing disk does.
  void damage();
  /// Loss of power, or of the process: what is under way ends at once with timed_out, from inside this call;
  /// of each write that had begun a prefix of sectors, drawn by seed, is in the file. Before the buffers go.
  void crash();

 private:
  struct File {
    std::string name;
    std::vector<std::byte> bytes;
    std::uint64_t reserved = 0;  ///< counted in used_: the size when all writes under way have ended
    std::uint32_t under_way = 0;
    bool removed = false;
  };
  struct Operation {
    DiskAction action = DiskAction::write;
    std::shared_ptr<File> file;
    std::uint64_t offset = 0;
    std::span<const std::byte> from;
    std::span<std::byte> into;
    fabric::Completion* completion = nullptr;
    std::optional<Error> error;
    TimePoint start;
    EventId event;
    std::uint64_t bytes() const noexcept { return from.size() + into.size(); }
  };
  void start(FileId file, Operation operation);
  std::optional<Error> check(const Operation& operation);
  void finish(std::uint64_t number);
  void store(const Operation& operation, std::uint64_t bytes);
  std::uint64_t torn_bytes(const Operation& operation);
  void leave(File& file);
  void end_all(bool torn);

  Timeline& timeline_;
  const std::uint32_t id_;
  DiskOptions options_;
  Random random_;
  std::uint32_t slow_ = 1;
  bool paused_ = false;
  std::vector<std::uint64_t> held_back_;  ///< ended while it was paused, by number
  TimePoint busy_until_;
  std::uint64_t used_ = 0;
  std::uint64_t next_number_ = 0;
  std::map<std::string, FileId, std::less<>> names_;
  std::vector<std::shared_ptr<File>> files_;      ///< by id; null: removed
  std::map<std::uint64_t, Operation> under_way_;  ///< by number
  std::function<std::optional<Code>(const DiskOperation&)> fault_;
};

}  // namespace holdfast::sim
