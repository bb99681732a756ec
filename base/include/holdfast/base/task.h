// Coroutines for protocols of several steps. A Task starts when it is awaited (or spawned) and resumes
// whoever awaited it when it returns. Single-threaded: a task runs on the thread that drives what it waits
// for.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

#include "holdfast/base/check.h"

namespace holdfast {

template <class T>
class [[nodiscard]] Task;

namespace detail {

/// Memory of coroutines, kept by the thread for the next ones.
void* allocate_frame(std::size_t bytes);
void free_frame(void* frame, std::size_t bytes) noexcept;

/// A promise inherits it, so that its coroutine lies there.
struct FrameMemory {
  static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
  static void operator delete(void* frame, std::size_t bytes) noexcept { free_frame(frame, bytes); }
};

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) const noexcept {
    return done.promise().continuation_ ? done.promise().continuation_ : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct TaskPromiseBase : FrameMemory {
  std::coroutine_handle<> continuation_;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  // Nothing here throws but the allocator; without memory there is no way on.
  void unhandled_exception() const noexcept { std::terminate(); }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value_;
  Task<T> get_return_object() noexcept;
  template <class U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*value_); }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const noexcept {}
};

}  // namespace detail

/// Owns a coroutine. Destroying a task that has been started and has not ended is a broken invariant: what it
/// waits for would resume a frame that is gone.
template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) noexcept : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})), started_(other.started_) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (!handle_) return;
    HOLDFAST_CHECK(!started_ || handle_.done(), "a running task was destroyed");
    handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  Handle await_suspend(std::coroutine_handle<> continuation) noexcept {
    started_ = true;
    handle_.promise().continuation_ = continuation;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  Handle handle_;
  bool started_ = false;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

/// Runs at once and frees itself at its end.
struct Detached {
  struct promise_type : FrameMemory {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

template <class T, class Then>
Detached run_detached(Task<T> task, Then then) {
  if constexpr (std::is_void_v<T>) {
    co_await task;
    then();
  } else {
    then(co_await task);
  }
}

}  // namespace detail

/// Starts a task that nobody awaits; `then` is called with its value when it ends, perhaps before this
/// returns.
template <class T, class Then>
void spawn(Task<T> task, Then then) {
  detail::run_detached(std::move(task), std::move(then));
}

}  // namespace holdfast
