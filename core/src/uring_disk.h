// A directory of the machine as a Disk: io_uring and O_DIRECT where they can be had, pread and pwrite on the
// driving thread where not.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "holdfast/base/result.h"
#include "src/disk.h"
#include "src/disk_queue.h"
#include "src/spill_directory.h"

namespace holdfast {

struct UringDiskOptions {
  bool use_uring = true;   ///< false: as where the kernel or a filter of system calls refuses io_uring
  bool use_direct = true;  ///< false: as where the file system refuses O_DIRECT
};

class UringDisk final : public Disk {
 public:
  /// Opens spill directories together: they share one queue. Removes what processes of this user left there
  /// when they crashed. Errors: invalid (missing, not a directory, named twice), denied (not writable),
  /// system; all name the directory and say what to do.
  static Result<std::vector<std::unique_ptr<Disk>>> open(std::span<const std::string> directories,
                                                         const UringDiskOptions& options = {});
  ~UringDisk() override;

  Result<FileNumber> create(std::string_view name, std::uint64_t bytes) override;
  Status shrink(FileNumber file, std::uint64_t bytes) override;
  Status remove(FileNumber file) override;
  void write(FileNumber file, std::uint64_t offset, std::span<const std::byte> bytes,
             fabric::Completion& completion) override;
  void read(FileNumber file, std::uint64_t offset, std::span<std::byte> into,
            fabric::Completion& completion) override;
  std::size_t drive(Deadline until) override { return queue_->drive(until); }
  void wake() noexcept override { queue_->wake(); }
  void stop() override;
  std::string describe(FileNumber file) const override;
  const std::string& directory() const noexcept override { return directory_.path(); }
  std::string mode() const override;

  /// What opening removed.
  const SpillLeftovers& leftovers() const noexcept { return leftovers_; }

 private:
  UringDisk(SpillDirectory directory, std::shared_ptr<DiskQueue> queue);
  DiskFile& file(FileNumber number);

  SpillDirectory directory_;
  std::shared_ptr<DiskQueue> queue_;
  SpillLeftovers leftovers_;
  std::uint32_t next_file_ = 0;
  std::map<FileNumber, DiskFile> files_;  ///< nodes: the queue points at them
};

}  // namespace holdfast
