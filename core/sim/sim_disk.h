// A simulated disk (fabric/sim) as the Disk that spilling works with: the same SpillFiles runs on a timeline.
// For tests and the simulator; no part of the library.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "holdfast/fabric/sim/disk.h"
#include "src/disk.h"

namespace holdfast::sim {

class SimDisk final : public holdfast::Disk {
 public:
  /// `disk` outlives it. Two of them on one disk have different names.
  SimDisk(sim::Disk& disk, std::string name) : disk_(disk), name_(std::move(name)) {}
  /// Called after something has ended; not any more after it was set to nullptr.
  void set_on_end(std::function<void()> on_end) { on_end_ = std::move(on_end); }
  ~SimDisk() override {
    for (const auto& [file, known] : files_) (void)disk_.remove(known.name);
  }

  /// Takes no room before it is written: a full disk shows at the write.
  Result<FileNumber> create(std::string_view name, std::uint64_t) override {
    File made{{}, name_ + "/" + std::string(name)};
    HOLDFAST_TRY(made.id, disk_.create(made.name));
    const FileNumber file{next_file_++};
    files_.emplace(file, std::move(made));
    return file;
  }
  /// What lies behind was never written, so it takes no room.
  Status shrink(FileNumber, std::uint64_t) override { return {}; }
  Status remove(FileNumber file) override {
    const auto found = files_.find(file);
    if (found == files_.end()) return fail(Code::not_found, "Disk::remove", "no such file");
    Status removed = disk_.remove(found->second.name);
    files_.erase(found);
    return removed;
  }

  void write(FileNumber file, std::uint64_t offset, std::span<const std::byte> bytes,
             fabric::Completion& completion) override {
    disk_.write(files_.at(file).id, offset, bytes, *new Transfer(*this, completion));
  }
  void read(FileNumber file, std::uint64_t offset, std::span<std::byte> into,
            fabric::Completion& completion) override {
    disk_.read(files_.at(file).id, offset, into, *new Transfer(*this, completion));
  }

  std::size_t drive(Deadline) override { return 0; }
  void wake() noexcept override {}
  /// Everything under way on the simulated disk ends as in a crash.
  void stop() override {
    if (under_way_ > 0) disk_.crash();
  }

  std::string describe(FileNumber file) const override {
    const auto found = files_.find(file);
    return found == files_.end() ? name_ + ": a file that was removed" : found->second.name;
  }
  const std::string& directory() const noexcept override { return name_; }
  std::string mode() const override { return "simulated"; }

 private:
  struct File {
    FileId id;
    std::string name;
  };
  /// Frees itself; tells truncated files as the real disk does.
  class Transfer final : public fabric::Completion {
   public:
    Transfer(SimDisk& disk, fabric::Completion& then) : disk_(disk), then_(then) { ++disk_.under_way_; }
    void complete(Status status) override {
      --disk_.under_way_;
      if (!status && status.error().code == Code::invalid)
        status = fail(Code::corrupt, "Disk::read", std::move(status.error().detail));
      fabric::Completion& then = then_;
      SimDisk& disk = disk_;
      delete this;
      then.complete(std::move(status));
      if (disk.on_end_) disk.on_end_();
    }

   private:
    ~Transfer() = default;
    SimDisk& disk_;
    fabric::Completion& then_;
  };

  sim::Disk& disk_;
  const std::string name_;
  std::uint32_t next_file_ = 0;
  std::uint64_t under_way_ = 0;
  std::map<FileNumber, File> files_;
  std::function<void()> on_end_;
};

}  // namespace holdfast::sim
