#include "src/uring_disk.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <set>
#include <utility>

#include "holdfast/base/check.h"
#include "holdfast/base/log.h"
#include "holdfast/base/units.h"

namespace holdfast {
namespace {

/// Which directory it is, whatever path it was reached by.
Result<std::pair<dev_t, ino_t>> identity(const std::string& path) {
  struct stat seen {};
  if (::stat(path.c_str(), &seen) != 0)
    return tl::unexpected(disk_error(errno, "open the spill directory", path));
  return std::pair(seen.st_dev, seen.st_ino);
}

}  // namespace

Result<std::vector<std::unique_ptr<Disk>>> UringDisk::open(std::span<const std::string> directories,
                                                           const UringDiskOptions& options) {
  HOLDFAST_TRY(const std::shared_ptr<DiskQueue> queue, DiskQueue::open(options.use_uring));
  std::vector<std::unique_ptr<Disk>> disks;
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const std::string& path : directories) {
    HOLDFAST_TRY(SpillDirectory directory, SpillDirectory::open(path, options.use_direct));
    HOLDFAST_TRY(const auto which, identity(path));
    if (!seen.insert(which).second)
      return fail(Code::invalid, "open the spill directory",
                  fmt::format("{} is named twice, perhaps by another path; name each directory once", path));
    disks.push_back(std::unique_ptr<Disk>(new UringDisk(std::move(directory), queue)));
  }
  return disks;
}

UringDisk::UringDisk(SpillDirectory directory, std::shared_ptr<DiskQueue> queue)
    : directory_(std::move(directory)), queue_(std::move(queue)), leftovers_(directory_.remove_leftovers()) {
  if (leftovers_.files > 0)
    log(LogLevel::info, fmt::format("{}: removed {} spill files ({}) of processes that have crashed",
                                    directory_.path(), leftovers_.files, format_bytes(leftovers_.bytes)));
  if (leftovers_.elsewhere > 0)
    log(LogLevel::info, fmt::format("{}: {} spill files of other hosts are left alone; remove those of jobs "
                                    "that have ended there",
                                    directory_.path(), leftovers_.elsewhere));
}

UringDisk::~UringDisk() {
  stop();
  // One that cannot be removed is a leftover for the next who opens the directory.
  for (const auto& [number, file] : files_) (void)directory_.remove(file);
}

void UringDisk::stop() {
  for (auto& [number, file] : files_)
    while (file.under_way > 0) queue_->drive(Deadline::never());
}

Result<FileNumber> UringDisk::create(std::string_view name, std::uint64_t bytes) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  HOLDFAST_CHECK(error == std::errc() && end == name.data() + name.size(), "a file's name is a number");
  HOLDFAST_TRY(DiskFile created, directory_.create(number, bytes));
  created.on_ring = directory_.direct();  // buffered transfers would only be handed to kernel threads
  const FileNumber out{next_file_++};
  files_.emplace(out, std::move(created));
  return out;
}

DiskFile& UringDisk::file(FileNumber number) {
  const auto found = files_.find(number);
  HOLDFAST_CHECK(found != files_.end(), "the file was removed, or never was");
  return found->second;
}

Status UringDisk::shrink(FileNumber number, std::uint64_t bytes) {
  const DiskFile& shrunk = file(number);
  if (::ftruncate(shrunk.descriptor.get(), static_cast<off_t>(bytes)) == 0) return {};
  return tl::unexpected(disk_error(errno, "Disk::shrink", shrunk.path));
}

Status UringDisk::remove(FileNumber number) {
  DiskFile& removed = file(number);
  HOLDFAST_CHECK(removed.under_way == 0, "a file is removed when nothing is under way on it");
  Status status = directory_.remove(removed);
  // Closed whatever became of the name, so that it can be taken for what it is: left over.
  files_.erase(number);
  return status;
}

void UringDisk::write(FileNumber number, std::uint64_t offset, std::span<const std::byte> bytes,
                      fabric::Completion& completion) {
  // The kernel's interface has one kind of pointer for both; a write only reads.
  queue_->start({DiskAction::write, &file(number), offset, const_cast<std::byte*>(bytes.data()),  // NOLINT
                 bytes.size(), &completion});
}

void UringDisk::read(FileNumber number, std::uint64_t offset, std::span<std::byte> into,
                     fabric::Completion& completion) {
  queue_->start({DiskAction::read, &file(number), offset, into.data(), into.size(), &completion});
}

std::string UringDisk::describe(FileNumber number) const {
  const auto found = files_.find(number);
  return found == files_.end() ? directory_.path() + ": a file that was removed" : found->second.path;
}

std::string UringDisk::mode() const {
  if (!directory_.direct())
    return fmt::format("pread and pwrite, buffered (O_DIRECT: {})", directory_.refusal());
  if (!queue_->has_ring()) return fmt::format("pread and pwrite, O_DIRECT (io_uring: {})", queue_->refusal());
  return "io_uring, O_DIRECT";
}

}  // namespace holdfast
