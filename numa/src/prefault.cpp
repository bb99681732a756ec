#include "prefault.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "holdfast/base/thread.h"
#include "holdfast/base/units.h"
#include "placement.h"

// Linux 5.14; older C libraries do not name it.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace holdfast::numa {
namespace {

// A thread looks at stopping_ and at free memory between pieces, and the process's mmap and munmap wait for
// the piece in hand, whatever keeps this thread from its core: small enough that the wait stays well below a
// millisecond of work, large enough that the look costs little. Larger pages are their own piece.
constexpr std::uint64_t kPiece = 512_KiB;

/// The atomic "or" keeps what the owner writes to the same bytes meanwhile, whatever the width of its
/// stores. ThreadSanitizer cannot know that they do not conflict.
__attribute__((no_sanitize("thread"))) void or_nothing(std::byte& byte) {
  __atomic_fetch_or(reinterpret_cast<unsigned char*>(&byte), 0, __ATOMIC_RELAXED);
}

}  // namespace

Prefault::Prefault(std::vector<PrefaultPart> parts, const PrefaultOptions& options, SystemFiles system)
    : parts_(std::move(parts)),
      system_(std::move(system)),
      keep_free_bytes_(options.keep_free_bytes),
      watch_nodes_(options.watch_nodes),
      method_(options.method),
      progress_(std::make_unique<Progress[]>(parts_.size())) {
  running_ = parts_.size() * options.threads_per_part;
  threads_.reserve(running_);
  for (std::size_t index = 0; index < parts_.size(); ++index) {
    for (unsigned i = 0; i < options.threads_per_part; ++i) {
      auto thread = start_thread("hf-prefault", [this, index] { work(index); });
      if (thread) {
        threads_.push_back(std::move(*thread));
        continue;
      }
      const std::lock_guard lock(mutex_);
      --running_;
      if (i == 0) progress_[index].note = "not prefaulted: " + thread.error().detail;
    }
  }
}

void Prefault::stop() {
  ask_to_stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::uint64_t Prefault::bytes_done(std::size_t part) const noexcept {
  return progress_[part].done.load(std::memory_order_relaxed);
}

std::string Prefault::note(std::size_t part) const {
  const std::lock_guard lock(mutex_);
  return progress_[part].note;
}

void Prefault::wait() const {
  std::unique_lock lock(mutex_);
  ended_.wait(lock, [this] { return running_ == 0; });
}

void Prefault::work(std::size_t index) {
  pthread_setname_np(pthread_self(), "hf-prefault");
  keep_thread_on(parts_[index].cpus);
  lower_thread_priority();
  work_on(parts_[index], progress_[index]);
  // Under the lock: wait() may return, and the destructor run, as soon as it is given back.
  const std::lock_guard lock(mutex_);
  if (--running_ == 0) ended_.notify_all();
}

void Prefault::work_on(const PrefaultPart& part, Progress& progress) {
  const std::uint64_t step = std::max(part.page_bytes, kPiece);
  while (!stopping_.load(std::memory_order_relaxed) && !progress.stopped.load(std::memory_order_relaxed)) {
    const std::uint64_t at = progress.next.fetch_add(step, std::memory_order_relaxed);
    if (at >= part.bytes) return;
    const std::uint64_t size = std::min(step, part.bytes - at);
    if (memory_is_short(part, size, progress)) return;
    if (!touch(part, {part.base + at, size}, progress)) return;
    progress.done.fetch_add(size, std::memory_order_relaxed);
  }
}

bool Prefault::touch(const PrefaultPart& part, std::span<std::byte> piece, Progress& progress) {
  if (method_.load(std::memory_order_relaxed) == TouchMethod::populate) {
    int rc = 0;
    do {
      rc = ::madvise(piece.data(), piece.size(), MADV_POPULATE_WRITE);
    } while (rc != 0 && (errno == EINTR || errno == EAGAIN) && !stopping_.load(std::memory_order_relaxed));
    if (rc == 0) return true;
    if (errno != EINVAL) {
      stop_part(progress, std::generic_category().message(errno));
      return false;
    }
    method_.store(TouchMethod::fetch_or, std::memory_order_relaxed);
  }
  for (std::uint64_t at = 0; at < piece.size(); at += part.page_bytes) or_nothing(piece[at]);
  return true;
}

bool Prefault::memory_is_short(const PrefaultPart& part, std::uint64_t piece, Progress& progress) {
  if (part.supply == PrefaultPart::Supply::reserved) return false;
  const std::uint64_t wanted = piece + keep_free_bytes_;
  std::uint64_t left = system_.memory_available().value_or(UINT64_MAX);
  if (watch_nodes_) left = std::min(left, system_.node_available(part.node).value_or(UINT64_MAX));
  if (left >= wanted) return false;
  stop_part(progress, fmt::format("only {} of memory are left for node {}; use a smaller arena",
                                  format_bytes(left), part.node.value));
  return true;
}

void Prefault::stop_part(Progress& progress, std::string why) {
  const std::lock_guard lock(mutex_);
  if (progress.stopped.exchange(true, std::memory_order_relaxed)) return;
  progress.note = "prefaulting stopped early: " + std::move(why);
}

}  // namespace holdfast::numa
