// A program that links Holdfast and has not used it yet: says which library handles the signals.
#include <dlfcn.h>
#include <signal.h>

#include <cstdio>

#include "holdfast/fabric/ofi.h"

int main(int argc, char**) {
  if (argc > 1) return holdfast::fabric::open_ofi({}) ? 0 : 1;  // not taken: has the linker bring it in
  for (const int number : {SIGINT, SIGILL, SIGABRT, SIGBUS, SIGSEGV, SIGTERM}) {
    struct sigaction action {};
    sigaction(number, nullptr, &action);
    Dl_info where{};
    const bool usual = action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN;
    if (!usual) dladdr(reinterpret_cast<void*>(action.sa_handler), &where);
    std::printf("%d %s\n", number, usual ? "none" : where.dli_fname != nullptr ? where.dli_fname : "unknown");
  }
}
