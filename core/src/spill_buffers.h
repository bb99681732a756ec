// The memory that goes between objects and disks: a fixed number of aligned buffers, handed out in the order
// they are asked for. A buffer belongs to one coroutine at a time, and to the disk while one transfer of it
// is under way.
//
// Who waits for a buffer holds none that is not being written or read: so there is always one that comes
// back. (Compaction holds one that it reads from, and there are at least four.)
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/fabric/fabric.h"
#include "src/disk.h"
#include "src/ready.h"

namespace holdfast {

class SpillBuffer final : private fabric::Completion {
 public:
  SpillBuffer(std::span<std::byte> memory, Ready& ready) noexcept : memory_(memory), ready_(ready) {}
  SpillBuffer(const SpillBuffer&) = delete;
  SpillBuffer& operator=(const SpillBuffer&) = delete;

  std::span<std::byte> memory() const noexcept { return memory_; }

  /// Starts the transfer of its first `bytes`. Nothing else is under way.
  void write(Disk& disk, FileNumber file, std::uint64_t offset, std::uint64_t bytes);
  void read(Disk& disk, FileNumber file, std::uint64_t offset, std::uint64_t bytes);
  /// As if the transfer had been started and had failed.
  void refuse(Error error);

  /// co_await it, once for each transfer: how the transfer ended.
  class Ended;
  Ended ended() noexcept;

 private:
  void complete(Status status) override;

  std::span<std::byte> memory_;
  Ready& ready_;
  bool done_ = false;
  Status status_;
  std::coroutine_handle<> waiting_;
};

class SpillBuffer::Ended {
 public:
  explicit Ended(SpillBuffer& buffer) noexcept : buffer_(buffer) {}
  bool await_ready() const noexcept { return buffer_.done_; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { buffer_.waiting_ = waiting; }
  Status await_resume() const {
    buffer_.done_ = false;
    return std::exchange(buffer_.status_, Status());
  }

 private:
  SpillBuffer& buffer_;
};

inline SpillBuffer::Ended SpillBuffer::ended() noexcept { return Ended(*this); }

class SpillBuffers {
 public:
  /// `bytes_each` is a multiple of kDiskSector. `ready` outlives it.
  SpillBuffers(std::uint64_t bytes_each, std::uint64_t count, Ready& ready);
  ~SpillBuffers();  ///< all have been given back

  /// co_await it: a buffer, when there is one and those who asked before have theirs.
  class Take;
  Take take() noexcept;
  /// One if it is there now and nobody waits, else null.
  SpillBuffer* try_take() noexcept;
  void give(SpillBuffer& buffer);

 private:
  struct FreeMemory {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  Ready& ready_;
  std::unique_ptr<std::byte, FreeMemory> memory_;
  std::vector<std::unique_ptr<SpillBuffer>> buffers_;
  std::vector<SpillBuffer*> free_;
  std::deque<Take*> waiting_;
};

class SpillBuffers::Take {
 public:
  explicit Take(SpillBuffers& buffers) noexcept : buffers_(buffers) {}
  bool await_ready() noexcept { return (taken_ = buffers_.try_take()) != nullptr; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle_ = waiting;
    buffers_.waiting_.push_back(this);
  }
  SpillBuffer* await_resume() const noexcept { return taken_; }

 private:
  friend class SpillBuffers;
  SpillBuffers& buffers_;
  SpillBuffer* taken_ = nullptr;
  std::coroutine_handle<> handle_;
};

inline SpillBuffers::Take SpillBuffers::take() noexcept { return Take(*this); }

}  // namespace holdfast
