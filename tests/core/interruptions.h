// Signals that come again and again to a program that handles them, as profilers and timers send them: system
// calls that wait end early.
#pragma once

#include <signal.h>
#include <sys/time.h>

namespace holdfast::test {

/// Every 20 ms while it lives. One at a time.
class Interruptions {
 public:
  Interruptions() noexcept {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // and no SA_RESTART
    sigaction(SIGALRM, &action, &former_);
    const itimerval often{{0, kMicroseconds}, {0, kMicroseconds}};
    setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Interruptions() {
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    sigaction(SIGALRM, &former_, nullptr);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;

 private:
  static constexpr suseconds_t kMicroseconds = 20'000;
  struct sigaction former_ {};
};

}  // namespace holdfast::test
