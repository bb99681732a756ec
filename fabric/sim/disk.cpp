#include "holdfast/fabric/sim/disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "holdfast/base/check.h"
#include "holdfast/base/checksum.h"

namespace holdfast::sim {
namespace {

constexpr std::uint64_t kDiskStream = 1000;  // and the disk's id: its stream of randomness
constexpr std::uint64_t kLargestOffset = std::uint64_t{1} << 48;
constexpr std::uint64_t kLargestOperation = std::uint64_t{1} << 32;  // times 10^9 still fits 64 bits

std::string operation_name(DiskAction action) {
  return action == DiskAction::write ? "Disk::write" : "Disk::read";
}

}  // namespace

Disk::Disk(Timeline& timeline, std::uint32_t id, const DiskOptions& options)
    : timeline_(timeline), id_(id), options_(options), random_(timeline.random(kDiskStream + id)) {
  HOLDFAST_CHECK(options.write_bytes_per_second > 0 && options.read_bytes_per_second > 0,
                 "DiskOptions: bandwidths are at least 1");
  HOLDFAST_CHECK(options.sector_bytes > 0, "DiskOptions::sector_bytes is at least 1");
}

Disk::~Disk() { end_all(false); }

Result<FileId> Disk::create(std::string_view name) {
  if (names_.contains(name)) return fail(Code::exists, "Disk::create", fmt::format("'{}' is there", name));
  const FileId id{static_cast<std::uint32_t>(files_.size())};
  files_.push_back(std::make_shared<File>());
  files_.back()->name = name;
  names_.emplace(name, id);
  return id;
}

Result<FileId> Disk::open(std::string_view name) const {
  const auto found = names_.find(name);
  if (found == names_.end()) return fail(Code::not_found, "Disk::open", fmt::format("no file '{}'", name));
  return found->second;
}

Result<std::uint64_t> Disk::size(FileId file) const {
  if (file.value >= files_.size() || !files_[file.value])
    return fail(Code::not_found, "Disk::size", "the file was removed");
  return files_[file.value]->bytes.size();
}

Status Disk::remove(std::string_view name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return fail(Code::not_found, "Disk::remove", fmt::format("no file '{}'", name));
  const std::shared_ptr<File> file = std::move(files_[found->second.value]);
  names_.erase(found);
  file->removed = true;
  ++file->under_way;
  leave(*file);
  return {};
}

std::vector<std::string> Disk::list() const {
  std::vector<std::string> out;
  for (const auto& [name, file] : names_) out.push_back(name);
  return out;
}

void Disk::write(FileId file, std::uint64_t offset, std::span<const std::byte> bytes,
                 fabric::Completion& completion) {
  Operation operation;
  operation.action = DiskAction::write;
  operation.offset = offset;
  operation.from = bytes;
  operation.completion = &completion;
  start(file, std::move(operation));
}

void Disk::read(FileId file, std::uint64_t offset, std::span<std::byte> into,
                fabric::Completion& completion) {
  Operation operation;
  operation.action = DiskAction::read;
  operation.offset = offset;
  operation.into = into;
  operation.completion = &completion;
  start(file, std::move(operation));
}

void Disk::start(FileId id, Operation operation) {
  const std::uint64_t number = next_number_++;
  const bool is_write = operation.action == DiskAction::write;
  if (id.value < files_.size()) operation.file = files_[id.value];
  operation.error = check(operation);
  if (!operation.file) operation.file = std::make_shared<File>();
  File& file = *operation.file;
  ++file.under_way;
  if (!operation.error && fault_) {
    const auto code = fault_({operation.action, file.name, operation.offset, operation.bytes(), number});
    if (code)
      operation.error = Error{*code, operation_name(operation.action),
                              fmt::format("the disk failed at byte {} of '{}'", operation.offset, file.name)};
  }
  if (is_write && !operation.error) {
    const std::uint64_t grown = std::max(file.reserved, operation.offset + operation.bytes());
    used_ += grown - file.reserved;
    file.reserved = grown;
  }
  const std::uint64_t rate = is_write ? options_.write_bytes_per_second : options_.read_bytes_per_second;
  const std::uint64_t bytes = std::min(operation.bytes(), kLargestOperation);
  const auto busy = Duration(static_cast<Duration::rep>((bytes * 1'000'000'000 + rate - 1) / rate)) * slow_;
  operation.start = std::max(timeline_.now(), busy_until_);
  busy_until_ = operation.start + busy;
  const TimePoint end = busy_until_ + options_.latency * slow_ + random_.up_to(options_.jitter);
  operation.event = timeline_.at(end, [this, number] { finish(number); });
  under_way_.emplace(number, std::move(operation));
}

/// What can be said at the start already.
std::optional<Error> Disk::check(const Operation& operation) {
  const auto error = [&](Code code, std::string detail) {
    return Error{code, operation_name(operation.action), std::move(detail)};
  };
  if (!operation.file) return error(Code::not_found, "the file was removed, or never was");
  const File& file = *operation.file;
  if (under_way_.size() >= options_.max_waiting)
    return error(Code::full, fmt::format("{} operations are under way already", under_way_.size()));
  if (operation.offset > kLargestOffset || operation.bytes() > kLargestOperation)
    return error(Code::invalid, fmt::format("{} bytes at {}", operation.bytes(), operation.offset));
  const std::uint64_t end = operation.offset + operation.bytes();
  if (operation.action == DiskAction::read && end > file.bytes.size())
    return error(Code::invalid, fmt::format("'{}' has {} bytes; {} were asked for at {}", file.name,
                                            file.bytes.size(), operation.bytes(), operation.offset));
  if (operation.action == DiskAction::write && end > file.reserved &&
      (used_ > options_.capacity || end - file.reserved > options_.capacity - used_))
    return error(Code::full, fmt::format("{} of {} bytes are used, and '{}' would grow by {}", used_,
                                         options_.capacity, file.name, end - file.reserved));
  return std::nullopt;
}

void Disk::finish(std::uint64_t number) {
  if (paused_) return held_back_.push_back(number);
  auto taken = under_way_.extract(number);
  Operation& operation = taken.mapped();
  File& file = *operation.file;
  if (!operation.error && operation.action == DiskAction::write) store(operation, operation.bytes());
  if (!operation.error && operation.action == DiskAction::read && !operation.into.empty())
    std::memcpy(operation.into.data(), file.bytes.data() + operation.offset, operation.into.size());
  // A device that failed may have written any part before.
  if (operation.error && operation.error->code == Code::system && operation.action == DiskAction::write)
    store(operation, torn_bytes(operation));
  if (operation.error) {
    timeline_.note(TraceKind::disk_fault, id_, operation.offset,
                   static_cast<std::uint64_t>(operation.error->code));
  } else {
    const bool is_write = operation.action == DiskAction::write;
    const std::uint64_t sum = is_write ? checksum(operation.from) : checksum(operation.into);
    timeline_.note(is_write ? TraceKind::disk_write : TraceKind::disk_read, id_, operation.offset,
                   options_.trace_contents ? sum : operation.bytes());
  }
  leave(file);
  Status status;
  if (operation.error) status = tl::unexpected(std::move(*operation.error));
  operation.completion->complete(std::move(status));
}

/// Puts the first `bytes` of a write into its file.
void Disk::store(const Operation& operation, std::uint64_t bytes) {
  if (bytes == 0) return;
  File& file = *operation.file;
  const std::uint64_t end = operation.offset + bytes;
  if (file.bytes.size() < end) file.bytes.resize(end);
  if (file.reserved < end) {
    used_ += end - file.reserved;
    file.reserved = end;
  }
  std::memcpy(file.bytes.data() + operation.offset, operation.from.data(), bytes);
}

/// How much of a write that did not come to its end is there: whole sectors, from none to all.
std::uint64_t Disk::torn_bytes(const Operation& operation) {
  const std::uint64_t sectors = (operation.bytes() + options_.sector_bytes - 1) / options_.sector_bytes;
  return std::min(random_.below(sectors + 1) * options_.sector_bytes, operation.bytes());
}

void Disk::leave(File& file) {
  if (--file.under_way == 0 && file.removed) used_ -= std::exchange(file.reserved, 0);
}

void Disk::slow(std::uint32_t factor) {
  HOLDFAST_CHECK(factor > 0, "a factor of 1 is as fast as before");
  slow_ = factor;
}

void Disk::resume() {
  paused_ = false;
  for (const std::uint64_t number : std::exchange(held_back_, {}))
    under_way_.at(number).event = timeline_.after(Duration::zero(), [this, number] { finish(number); });
}

void Disk::damage() {
  for (const std::shared_ptr<File>& file : files_) {
    if (!file || file->bytes.empty()) continue;
    const std::uint64_t at = random_.below(file->bytes.size());
    file->bytes[at] ^= std::byte{1};
    timeline_.note(TraceKind::disk_fault, id_, at, static_cast<std::uint64_t>(Code::corrupt));
  }
}

void Disk::crash() {
  end_all(true);
  // What was reserved for writes that are gone is free again.
  for (const std::shared_ptr<File>& file : files_) {
    if (!file) continue;
    used_ -= file->reserved - file->bytes.size();
    file->reserved = file->bytes.size();
  }
  busy_until_ = timeline_.now();
}

void Disk::end_all(bool torn) {
  std::map<std::uint64_t, Operation> gone = std::move(under_way_);
  under_way_.clear();
  held_back_.clear();
  for (auto& [number, operation] : gone) {
    timeline_.cancel(operation.event);
    std::uint64_t kept = 0;
    const bool begun = operation.start < timeline_.now();
    if (torn && begun && !operation.error && operation.action == DiskAction::write) {
      kept = torn_bytes(operation);
      store(operation, kept);
    }
    timeline_.note(TraceKind::disk_fault, id_, operation.offset, kept);
    leave(*operation.file);
  }
  for (auto& [number, operation] : gone)
    operation.completion->complete(tl::unexpected(Error{Code::timed_out, operation_name(operation.action),
                                                        "the disk went away while this was under way"}));
}

}  // namespace holdfast::sim
