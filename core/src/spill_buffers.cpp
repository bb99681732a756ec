#include "src/spill_buffers.h"

#include <sys/mman.h>

#include <new>

#include "holdfast/base/check.h"
#include "holdfast/base/units.h"

namespace holdfast {
namespace {

// A transfer then names one page of memory instead of hundreds.
constexpr std::uint64_t kLargePage = std::uint64_t{2} << 20;

}  // namespace

void SpillBuffer::write(Disk& disk, FileNumber file, std::uint64_t offset, std::uint64_t bytes) {
  disk.write(file, offset, memory_.first(bytes), *this);
}

void SpillBuffer::read(Disk& disk, FileNumber file, std::uint64_t offset, std::uint64_t bytes) {
  disk.read(file, offset, memory_.first(bytes), *this);
}

void SpillBuffer::refuse(Error error) { complete(tl::unexpected(std::move(error))); }

void SpillBuffer::complete(Status status) {
  HOLDFAST_CHECK(!done_, "a transfer ends once");
  status_ = std::move(status);
  done_ = true;
  if (waiting_) ready_.add(std::exchange(waiting_, {}));
}

SpillBuffers::SpillBuffers(std::uint64_t bytes_each, std::uint64_t count, Ready& ready) : ready_(ready) {
  const std::uint64_t bytes = align_up(bytes_each * count, kLargePage);
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kLargePage, bytes)));
  if (!memory_) throw std::bad_alloc();
  ::madvise(memory_.get(), bytes, MADV_HUGEPAGE);  // where it is refused, on small pages
  for (std::uint64_t i = 0; i < count; ++i) {
    buffers_.push_back(
        std::make_unique<SpillBuffer>(std::span(memory_.get() + i * bytes_each, bytes_each), ready));
    free_.push_back(buffers_.back().get());
  }
}

SpillBuffers::~SpillBuffers() {
  HOLDFAST_CHECK(free_.size() == buffers_.size(), "buffers are given back before their pool goes");
}

SpillBuffer* SpillBuffers::try_take() noexcept {
  if (free_.empty()) return nullptr;  // then, too, where somebody waits
  SpillBuffer* const taken = free_.back();
  free_.pop_back();
  return taken;
}

void SpillBuffers::give(SpillBuffer& buffer) {
  if (waiting_.empty()) {
    free_.push_back(&buffer);
    return;
  }
  Take& next = *waiting_.front();
  waiting_.pop_front();
  next.taken_ = &buffer;
  ready_.add(next.handle_);
}

}  // namespace holdfast
