#include "tests/core/slow_disk.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace holdfast::test {
namespace {

// What an old disk takes to find a place.
constexpr auto kSeek = std::chrono::milliseconds(4);

std::atomic<std::uint64_t> transfers{0};
std::mutex mutex;
std::condition_variable went_on;
bool stopped = false;
int under_way = 0;

/// Takes what a transfer takes, before its bytes go.
class Transfer {
 public:
  Transfer() {
    ++transfers;
    {
      const std::lock_guard lock(mutex);
      ++under_way;
    }
    std::this_thread::sleep_for(kSeek);
    std::unique_lock lock(mutex);
    went_on.wait(lock, [] { return !stopped; });
  }
  ~Transfer() {
    const std::lock_guard lock(mutex);
    --under_way;
  }
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
};

}  // namespace

void stop_disk() {
  const std::lock_guard lock(mutex);
  stopped = true;
}

bool stop_idle_disk() {
  const std::lock_guard lock(mutex);
  if (under_way > 0) return false;
  stopped = true;
  return true;
}

void let_disk_go_on() {
  {
    const std::lock_guard lock(mutex);
    stopped = false;
  }
  went_on.notify_all();
}

std::uint64_t disk_transfers() { return transfers; }

}  // namespace holdfast::test

// The program's own names come before those of the C library and of liburing.
extern "C" {

struct io_uring;

ssize_t pread(int fd, void* into, size_t bytes, off_t offset) {
  const holdfast::test::Transfer transfer;
  return syscall(SYS_pread64, fd, into, bytes, offset);
}

ssize_t pwrite(int fd, const void* from, size_t bytes, off_t offset) {
  const holdfast::test::Transfer transfer;
  return syscall(SYS_pwrite64, fd, from, bytes, offset);
}

int io_uring_queue_init(unsigned, io_uring*, unsigned) { return -ENOSYS; }

}  // extern "C"
