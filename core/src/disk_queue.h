// Reads and writes of files under way: on io_uring, or done one after the other by whoever drives. One thread
// at a time, except wake().
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/file.h"
#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast {

/// An open file as the queue sees it. Its owner keeps it while anything is under way on it.
struct DiskFile {
  File descriptor;
  std::string path;
  bool on_ring = true;          ///< false: read and written by the driving thread
  std::uint32_t under_way = 0;  ///< operations that have not ended
};

/// The error of a system call on a file: full for ENOSPC and EDQUOT, denied for EPERM, EACCES and EROFS, else
/// system. The detail names the file, the offset and what the system says.
Error disk_error(int error_number, std::string_view operation, const std::string& path);

enum class DiskAction : std::uint8_t { write, read };

struct DiskRequest {
  DiskAction action = DiskAction::write;
  DiskFile* file = nullptr;
  std::uint64_t offset = 0;
  std::byte* memory = nullptr;  ///< a write only reads it
  std::uint64_t bytes = 0;
  fabric::Completion* completion = nullptr;
};

class DiskQueue {
 public:
  /// Where `use_uring` is false or the kernel refuses it, everything is done by the driving thread. Errors:
  /// system (no descriptors left).
  static Result<std::shared_ptr<DiskQueue>> open(bool use_uring);
  ~DiskQueue();  ///< nothing is under way
  DiskQueue(const DiskQueue&) = delete;
  DiskQueue& operator=(const DiskQueue&) = delete;

  bool has_ring() const noexcept { return has_ring_; }
  /// Why there is no ring, for people; empty where there is one.
  const std::string& refusal() const noexcept { return refusal_; }

  /// Starts it; short reads and writes are continued. Completes as Disk::write() and Disk::read() say.
  void start(const DiskRequest& request);
  std::size_t drive(Deadline until);
  void wake() noexcept;

 private:
  struct Operation {
    DiskRequest rest;    ///< what of it is not done
    unsigned tries = 0;  ///< that the kernel wanted again
    Operation* next_free = nullptr;
  };
  DiskQueue() = default;
  Status open_ring();
  void submit(Operation& operation);
  void submit_waiting();
  std::size_t run_direct();
  std::size_t reap();
  bool advance(Operation& operation, int result);
  void end(Operation& operation, Status status);
  void arm_wake();
  void take_wake();
  void wait(Deadline until);

  File wake_;  ///< an eventfd
  io_uring ring_{};
  bool has_ring_ = false;
  std::string refusal_;
  bool wake_armed_ = false;  ///< the ring watches wake_
  bool woken_ = false;
  std::vector<std::unique_ptr<Operation>> operations_;
  Operation* free_ = nullptr;
  std::deque<Operation*> waiting_;  ///< for a place in the ring
  std::deque<Operation*> direct_;   ///< for the driving thread
};

}  // namespace holdfast
