#include "src/disk_queue.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "holdfast/base/check.h"
#include "holdfast/base/units.h"
#include "src/disk.h"

namespace holdfast {
namespace {

// Places in the ring. More than a SpillFiles has buffers, for several directories that share it; what comes
// on top waits here.
constexpr unsigned kRingEntries = 128;
// One system call moves at most 2 GiB less a page.
constexpr std::uint64_t kMostAtOnce = std::uint64_t{1} << 30;
// How often an operation that was interrupted, or found the kernel short of memory, is started again.
constexpr unsigned kMostTries = 1000;

std::string text_of(int error_number) { return std::generic_category().message(error_number); }

const char* operation_name(DiskAction action) {
  return action == DiskAction::write ? "Disk::write" : "Disk::read";
}

/// What is left until a deadline, for system calls that take a relative time.
__kernel_timespec time_left(Deadline until) {
  const auto ns = until.left(real_clock()).count();
  return {ns / 1'000'000'000, ns % 1'000'000'000};
}

}  // namespace

Error disk_error(int error_number, std::string_view operation, const std::string& path) {
  const auto is = [&](auto... numbers) { return ((error_number == numbers) || ...); };
  const Code code = is(ENOSPC, EDQUOT) ? Code::full : is(EPERM, EACCES, EROFS) ? Code::denied : Code::system;
  return {code, std::string(operation), fmt::format("{}: {}", path, text_of(error_number))};
}

Result<std::shared_ptr<DiskQueue>> DiskQueue::open(bool use_uring) {
  std::shared_ptr<DiskQueue> queue(new DiskQueue);
  queue->wake_ = File(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!queue->wake_) return fail_errno(errno, "DiskQueue::open", "eventfd");
  if (!use_uring)
    queue->refusal_ = "not asked for";
  else if (const Status ring = queue->open_ring(); !ring)
    queue->refusal_ = ring.error().detail;
  return queue;
}

/// What any kernel or filter of system calls lacks or refuses shows here, not when something is under way.
Status DiskQueue::open_ring() {
  const auto refused = [](std::string why) { return fail(Code::unsupported, "io_uring", std::move(why)); };
  if (const int error = io_uring_queue_init(kRingEntries, &ring_, 0); error < 0)
    return refused(fmt::format("io_uring_setup: {}", text_of(-error)));
  has_ring_ = true;
  const auto give_up = [&](std::string why) {
    io_uring_queue_exit(&ring_);
    has_ring_ = false;
    return refused(std::move(why));
  };
  // Waiting with a time limit came with 5.11, plain reads and writes (5.6) before.
  if ((ring_.features & IORING_FEAT_EXT_ARG) == 0) return give_up("the kernel's io_uring is older than 5.11");
  io_uring_prep_nop(io_uring_get_sqe(&ring_));
  io_uring_cqe* done = nullptr;
  if (const int sent = io_uring_submit(&ring_); sent != 1)
    return give_up(fmt::format("io_uring_enter: {}", text_of(sent < 0 ? -sent : EIO)));
  if (const int error = io_uring_wait_cqe(&ring_, &done); error < 0)
    return give_up(fmt::format("io_uring_enter: {}", text_of(-error)));
  io_uring_cqe_seen(&ring_, done);
  return {};
}

DiskQueue::~DiskQueue() {
  if (has_ring_) io_uring_queue_exit(&ring_);
}

void DiskQueue::start(const DiskRequest& request) {
  if (free_ == nullptr) {
    operations_.push_back(std::make_unique<Operation>());
    free_ = operations_.back().get();
  }
  Operation& operation = *std::exchange(free_, free_->next_free);
  operation.rest = request;
  operation.tries = 0;
  ++request.file->under_way;
  if (has_ring_ && request.file->on_ring)
    submit(operation);
  else
    direct_.push_back(&operation);
}

void DiskQueue::submit(Operation& operation) {
  io_uring_sqe* const entry = waiting_.empty() ? io_uring_get_sqe(&ring_) : nullptr;
  if (entry == nullptr) {
    waiting_.push_back(&operation);
    return;
  }
  const DiskRequest& rest = operation.rest;
  const auto bytes = static_cast<unsigned>(std::min(rest.bytes, kMostAtOnce));
  if (rest.action == DiskAction::write)
    io_uring_prep_write(entry, rest.file->descriptor.get(), rest.memory, bytes, rest.offset);
  else
    io_uring_prep_read(entry, rest.file->descriptor.get(), rest.memory, bytes, rest.offset);
  io_uring_sqe_set_data(entry, &operation);
  // At once: the device works while the next buffer is filled. What the kernel does not take now stays in the
  // ring and goes with the next call.
  io_uring_submit(&ring_);
}

void DiskQueue::submit_waiting() {
  for (std::deque<Operation*> waiting = std::exchange(waiting_, {}); !waiting.empty(); waiting.pop_front())
    submit(*waiting.front());
}

std::size_t DiskQueue::drive(Deadline until) {
  for (;;) {
    std::size_t ended = run_direct();
    if (has_ring_) {
      submit_waiting();
      arm_wake();
      io_uring_submit(&ring_);
      ended += reap();
    }
    if (ended > 0 || std::exchange(woken_, false)) return ended;
    if (until.passed(real_clock())) return 0;
    wait(until);
  }
}

/// Until something has ended, a wake, the deadline, or for no reason.
void DiskQueue::wait(Deadline until) {
  __kernel_timespec left = time_left(until);
  if (has_ring_) {
    io_uring_cqe* done = nullptr;
    const int sent =
        io_uring_submit_and_wait_timeout(&ring_, &done, 1, until.is_never() ? nullptr : &left, nullptr);
    HOLDFAST_CHECK(sent >= 0 || sent == -ETIME || sent == -EINTR || sent == -EAGAIN || sent == -EBUSY,
                   "io_uring refuses what it took before");
    return;
  }
  pollfd watched{wake_.get(), POLLIN, 0};
  const timespec limit{left.tv_sec, static_cast<long>(left.tv_nsec)};
  if (::ppoll(&watched, 1, until.is_never() ? nullptr : &limit, nullptr) > 0) take_wake();
}

/// What the driving thread does itself: as much as was there when it came.
std::size_t DiskQueue::run_direct() {
  std::size_t ended = 0;
  for (std::size_t left = direct_.size(); left > 0; --left) {
    Operation& operation = *direct_.front();
    direct_.pop_front();
    for (bool more = true; more;) {
      const DiskRequest& rest = operation.rest;
      const int fd = rest.file->descriptor.get();
      const std::uint64_t bytes = std::min(rest.bytes, kMostAtOnce);
      const auto offset = static_cast<off_t>(rest.offset);
      const ssize_t done = rest.action == DiskAction::write ? ::pwrite(fd, rest.memory, bytes, offset)
                                                            : ::pread(fd, rest.memory, bytes, offset);
      more = advance(operation, done < 0 ? -errno : static_cast<int>(done));
    }
    ++ended;
  }
  return ended;
}

std::size_t DiskQueue::reap() {
  std::size_t ended = 0;
  io_uring_cqe* done = nullptr;
  while (io_uring_peek_cqe(&ring_, &done) == 0) {
    auto* const operation = static_cast<Operation*>(io_uring_cqe_get_data(done));
    const int result = done->res;
    io_uring_cqe_seen(&ring_, done);
    if (operation == nullptr) {
      wake_armed_ = false;
      take_wake();
      arm_wake();
    } else if (advance(*operation, result)) {
      submit(*operation);
    } else {
      ++ended;
    }
  }
  return ended;
}

/// Takes the result of one system call; true if there is more to do, else the operation has ended.
bool DiskQueue::advance(Operation& operation, int result) {
  DiskRequest& rest = operation.rest;
  const char* const name = operation_name(rest.action);
  if ((result == -EINTR || result == -EAGAIN) && ++operation.tries < kMostTries) return true;
  if (result < 0) {
    Error error = disk_error(-result, name, rest.file->path);
    error.detail += fmt::format(" ({} bytes at offset {})", rest.bytes, rest.offset);
    end(operation, tl::unexpected(std::move(error)));
    return false;
  }
  const auto done = static_cast<std::uint64_t>(result);
  if (done == rest.bytes) {
    end(operation, {});
    return false;
  }
  // Short. Direct ones go on from a whole sector; a read that ends within one has met the file's end.
  const std::uint64_t whole = align_down(done, kDiskSector);
  if (whole == 0 || (rest.action == DiskAction::read && whole != done)) {
    if (rest.action == DiskAction::read)
      end(operation,
          fail(Code::corrupt, name,
               fmt::format("{} ends at offset {}, but {} bytes were written there and after: somebody has "
                           "truncated it",
                           rest.file->path, rest.offset + done, rest.bytes - done)));
    else
      end(operation, fail(Code::system, name,
                          fmt::format("{}: {} of {} bytes were written at offset {}", rest.file->path, done,
                                      rest.bytes, rest.offset)));
    return false;
  }
  rest.offset += whole;
  rest.memory += whole;
  rest.bytes -= whole;
  return true;
}

void DiskQueue::end(Operation& operation, Status status) {
  fabric::Completion& completion = *operation.rest.completion;
  --operation.rest.file->under_way;
  operation.next_free = std::exchange(free_, &operation);
  completion.complete(std::move(status));
}

void DiskQueue::arm_wake() {
  if (wake_armed_) return;
  io_uring_sqe* const entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) return;  // the ring is full of what has not gone yet; the next drive() arms it
  io_uring_prep_poll_add(entry, wake_.get(), POLLIN);
  io_uring_sqe_set_data(entry, nullptr);
  wake_armed_ = true;
}

void DiskQueue::take_wake() {
  std::uint64_t times = 0;
  if (::read(wake_.get(), &times, sizeof times) == static_cast<ssize_t>(sizeof times)) woken_ = true;
}

void DiskQueue::wake() noexcept {
  const std::uint64_t once = 1;
  // Refused only where the counter is at its end: then a wake is waiting already.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &once, sizeof once);
}

}  // namespace holdfast
