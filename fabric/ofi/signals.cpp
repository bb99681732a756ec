#include "fabric/ofi/signals.h"

#include <dlfcn.h>
#include <signal.h>

#include <array>
#include <string_view>

namespace holdfast::fabric::ofi {
namespace {

constexpr std::array kTakenSignals = {SIGINT, SIGILL, SIGABRT, SIGBUS, SIGSEGV, SIGTERM};

bool belongs_to_infinipath(const struct sigaction& action) noexcept {
  void* handler = (action.sa_flags & SA_SIGINFO) != 0 ? reinterpret_cast<void*>(action.sa_sigaction)
                                                      : reinterpret_cast<void*>(action.sa_handler);
  if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) return false;
  Dl_info where{};
  if (dladdr(handler, &where) == 0 || where.dli_fname == nullptr) return false;
  const std::string_view path(where.dli_fname);
  const std::string_view file = path.substr(path.rfind('/') + 1);
  return file.starts_with("libinfinipath") || file.starts_with("libpsm");
}

}  // namespace

void drop_foreign_signal_handlers() noexcept {
  for (const int signal_number : kTakenSignals) {
    struct sigaction action {};
    if (sigaction(signal_number, nullptr, &action) != 0 || !belongs_to_infinipath(action)) continue;
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    sigemptyset(&usual.sa_mask);
    sigaction(signal_number, &usual, nullptr);
  }
}

namespace {
/// A program that does not open a store, or not yet, is not to be changed either.
[[gnu::constructor]] void when_loaded() noexcept { drop_foreign_signal_handlers(); }
}  // namespace

}  // namespace holdfast::fabric::ofi
