#include "holdfast/base/task.h"

#include <array>
#include <cstddef>
#include <new>

// Frames of protocols are larger than what malloc keeps at hand for a thread, and a get of a small object
// makes half a dozen. A thread keeps those it has freed, by size. Sanitizers see every frame come and go.
namespace holdfast::detail {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kKeepFrames = false;
#else
constexpr bool kKeepFrames = true;
#endif

constexpr std::size_t kStep = 256;
constexpr std::size_t kClasses = 24;  ///< frames of up to 6 KiB are kept
constexpr unsigned kMostInAClass = 32;

/// Frames may be freed after the thread's pool, by objects that end with the thread.
constinit thread_local bool pool_has_ended = false;

struct FreeFrame {
  FreeFrame* next;
};

/// One thread's. Whichever thread destroys a frame keeps it.
class FramePool {
 public:
  ~FramePool() {
    pool_has_ended = true;
    for (Class& frames : classes_)
      while (void* const frame = frames.take()) ::operator delete(frame);
  }

  void* take(std::size_t bytes) noexcept {
    const std::size_t index = class_of(bytes);
    return index < kClasses ? classes_[index].take() : nullptr;
  }

  bool keep(void* frame, std::size_t bytes) noexcept {
    const std::size_t index = class_of(bytes);
    return index < kClasses && classes_[index].keep(frame);
  }

  static std::size_t class_of(std::size_t bytes) noexcept { return (bytes - 1) / kStep; }
  /// What a frame of this size is allocated as, so that any of its class fits.
  static std::size_t rounded(std::size_t bytes) noexcept { return (class_of(bytes) + 1) * kStep; }

 private:
  struct Class {
    void* take() noexcept {
      if (first == nullptr) return nullptr;
      FreeFrame* const frame = first;
      first = frame->next;
      --count;
      return frame;
    }
    bool keep(void* frame) noexcept {
      if (count == kMostInAClass) return false;
      first = new (frame) FreeFrame{first};
      ++count;
      return true;
    }
    FreeFrame* first = nullptr;
    unsigned count = 0;
  };

  std::array<Class, kClasses> classes_{};
};

thread_local FramePool pool;

}  // namespace

void* allocate_frame(std::size_t bytes) {
  if (kKeepFrames && !pool_has_ended)
    if (void* const frame = pool.take(bytes)) return frame;
  return ::operator new(FramePool::rounded(bytes));
}

void free_frame(void* frame, std::size_t bytes) noexcept {
  if (!kKeepFrames || pool_has_ended || !pool.keep(frame, bytes)) ::operator delete(frame);
}

}  // namespace holdfast::detail
