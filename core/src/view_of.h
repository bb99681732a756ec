// How a protocol comes to a member's memory: mapped here, where that can be.
#pragma once

#include <coroutine>
#include <utility>

#include "src/channel.h"
#include "src/job.h"

namespace holdfast {

/// co_await it: the member's arena where it is mapped here, after mapping it where that can be; nullptr: it
/// is read by fabric. Errors: owner_lost (a neighbour whose process has ended), timed_out. Costs nothing but
/// the first time. It must have a name: it lies in the frame of who awaits it.
class ViewOf {
 public:
  ViewOf(Job& job, Channel& channel, MemberId member, Deadline deadline) noexcept
      : job_(job), channel_(channel), member_(member), deadline_(deadline) {}
  ViewOf(const ViewOf&) = delete;
  ViewOf& operator=(const ViewOf&) = delete;

  bool await_ready() { return job_.knows_view(member_, view_); }
  bool await_suspend(std::coroutine_handle<> waiting) {
    spawn(job_.attachments.attach(job_, channel_, member_, deadline_), [this](Status attached) {
      ended_ = true;
      if (!attached)
        view_ = tl::unexpected(std::move(attached).error());
      else
        (void)job_.knows_view(member_, view_);  // it does now
      if (waiting_) std::exchange(waiting_, {}).resume();
    });
    if (ended_) return false;
    waiting_ = waiting;
    return true;
  }
  Result<View*> await_resume() { return std::move(view_); }

 private:
  Job& job_;
  Channel& channel_;
  MemberId member_;
  Deadline deadline_;
  Result<View*> view_ = nullptr;
  bool ended_ = false;
  std::coroutine_handle<> waiting_;
};

}  // namespace holdfast
