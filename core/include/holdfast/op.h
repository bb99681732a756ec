// An operation under way: overlap it with work, then wait for what it gives.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"

namespace holdfast {

namespace detail {

/// What Op needs of the machinery beneath, whatever it gives in the end.
class OpState {
 public:
  virtual ~OpState() = default;
  virtual bool done() const noexcept = 0;
  /// What moves it: operations with the same engine move together. nullptr for one that is done from the
  /// start.
  virtual const void* engine() const noexcept = 0;
  /// Moves its engine until `enough()` or until `until` has passed; does not block if that has passed
  /// already.
  virtual void drive(Deadline until, const std::function<bool()>& enough) = 0;
  virtual void cancel() noexcept = 0;
};

template <class T>
class OpValue : public OpState {
 public:
  virtual Result<T> take() = 0;
};

/// Drives several until one is done; its index, or nothing at the deadline.
std::optional<std::size_t> drive_any(std::span<OpState* const> states, Deadline until);

}  // namespace detail

/// Started by Store::fetch. It moves when it is polled or waited for (and, over RDMA hardware, by itself in
/// between); it ends by itself at the deadline it was started with. One thread at a time. Dropping an Op
/// cancels it: nothing of it is handed out any more, and its buffer is freed when nothing can write it.
template <class T>
class [[nodiscard]] Op {
 public:
  Op(Op&&) noexcept = default;
  Op& operator=(Op&& other) noexcept {
    if (this != &other) {
      drop();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~Op() { drop(); }

  /// Moves it along without blocking; true when wait() will not block.
  bool poll() {
    if (!state_) return true;
    if (!state_->done()) drive(*state_, Deadline::after(real_clock(), Duration::zero()));
    return state_->done();
  }

  /// Waits and consumes the operation. Errors: timed_out (it is cancelled then), and those of Store::get;
  /// invalid for an operation that was consumed, cancelled or moved from.
  Result<T> wait(Duration timeout) && {
    if (!state_)
      return fail(Code::invalid, "Op::wait", "this operation was consumed, cancelled or moved from");
    auto state = std::move(state_);
    const Deadline until = Deadline::after(real_clock(), timeout);
    if (!state->done()) drive(*state, until);
    if (state->done()) return state->take();
    state->cancel();
    return fail(Code::timed_out, "Op::wait",
                "the operation did not end within the time given; it was cancelled");
  }

  /// Ends the operation without its result.
  void cancel() && { drop(); }

  /// Waits until one of `ops` is ready for wait(); its index. Ops that were consumed are passed over.
  /// Errors: timed_out, invalid (none of them is under way).
  static Result<std::size_t> wait_any(std::span<Op* const> ops, Duration timeout);

 private:
  friend class OpFactory;
  explicit Op(std::shared_ptr<detail::OpValue<T>> state) noexcept : state_(std::move(state)) {}
  static void drive(detail::OpState& state, Deadline until) {
    state.drive(until, [&state] { return state.done(); });
  }
  void drop() noexcept {
    if (auto state = std::move(state_)) state->cancel();
  }
  std::shared_ptr<detail::OpValue<T>> state_;
};

template <class T>
Result<std::size_t> Op<T>::wait_any(std::span<Op* const> ops, Duration timeout) {
  std::vector<detail::OpState*> states;
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (!ops[i]->state_) continue;
    states.push_back(ops[i]->state_.get());
    indices.push_back(i);
  }
  if (states.empty()) return fail(Code::invalid, "Op::wait_any", "none of these operations is under way");
  const auto found = detail::drive_any(states, Deadline::after(real_clock(), timeout));
  if (!found) return fail(Code::timed_out, "Op::wait_any", "no operation ended within the time given");
  return indices[*found];
}

}  // namespace holdfast
