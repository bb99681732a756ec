// An operation that runs on a lane.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "holdfast/op.h"
#include "src/cancellation.h"
#include "src/lanes.h"
#include "src/member.h"

namespace holdfast {

template <class T>
class LaneOp final : public detail::OpValue<T> {
 public:
  /// `member` keeps the lane; once the store is closed every operation has ended and the lane is not touched.
  LaneOp(std::weak_ptr<Member> member, Lane& lane, Duration spin)
      : member_(std::move(member)), lane_(lane), spin_(spin) {}

  bool done() const noexcept override { return done_.load(std::memory_order_acquire); }

  const void* engine() const noexcept override { return &lane_; }

  void drive(Deadline until, const std::function<bool()>& enough) override {
    const auto member = member_.lock();
    if (!member || done()) return;
    lane_.drive(enough, until, spin_);
  }

  void cancel() noexcept override {
    const auto member = member_.lock();
    if (!member || done()) {
      value_.reset();
      return;
    }
    lane_.run([this](Channel&) {
      if (done()) return value_.reset();
      cancelled_ = true;
      lane_.abandoned();  // until finish(): what it still has under way must end, whoever waits for whatever
      value_.reset();
      cancellation_.request();
    });
    if (!done()) member->drive_abandoned();
  }

  Result<T> take() override {
    if (!value_) return fail(Code::invalid, "Op::wait", "the operation was cancelled");
    return std::move(*value_);
  }

  /// What the operation waits for is called off with it. Used with the lane held.
  Cancellation& cancellation() noexcept { return cancellation_; }

  /// With the lane held.
  void finish(Result<T> value) {
    if (cancelled_)
      lane_.abandoned_ended();
    else
      value_.emplace(std::move(value));
    done_.store(true, std::memory_order_release);
  }

 private:
  std::weak_ptr<Member> member_;
  Lane& lane_;
  Duration spin_;
  bool cancelled_ = false;  ///< with the lane held
  Cancellation cancellation_;
  std::optional<Result<T>> value_;
  std::atomic<bool> done_{false};
};

}  // namespace holdfast
