#include "holdfast/base/thread.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>

namespace holdfast {

Result<std::thread> start_thread(const std::string& name, std::function<void()> body) {
  // A thread inherits the mask, so it is set before the thread exists. Faults stay deliverable.
  sigset_t all, before;
  sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  std::string refused;
  try {
    thread = std::thread(std::move(body));
  } catch (const std::system_error& error) {
    refused = error.what();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!thread.joinable())
    return fail(Code::system, "start_thread",
                "no thread could be started: " + refused +
                    "; raise the limit on processes (ulimit -u, cgroup pids.max)");
  pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
  return thread;
}

}  // namespace holdfast
