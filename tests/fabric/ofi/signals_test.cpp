// Loading libfabric must not change what signals do to the program.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

#include "holdfast/fabric/ofi.h"

namespace holdfast::fabric::test {
namespace {

constexpr std::array kSignals = {SIGINT, SIGILL, SIGABRT, SIGBUS, SIGSEGV, SIGTERM};

void own_handler(int) {}
void own_action(int, siginfo_t*, void*) {}

struct sigaction action_of(int signal_number) {
  struct sigaction action {};
  sigaction(signal_number, nullptr, &action);
  return action;
}

void handle(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, nullptr);
}

bool opens() {
  auto fabric = open_ofi({});
  if (!fabric) ADD_FAILURE() << fabric.error().message();
  return fabric && (*fabric)->open({}).has_value();
}

}  // namespace

// Each runs in a process of its own: handlers are the process's, and libfabric is loaded before main().
// Sanitizers put handlers of their own in; those are the program's, and stay.
TEST(OfiSignals, AreTheDefaultOnesAfterOpening) {
  std::array<struct sigaction, kSignals.size()> before;
  for (std::size_t i = 0; i < kSignals.size(); ++i) before[i] = action_of(kSignals[i]);
  ASSERT_TRUE(opens());
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    const struct sigaction after = action_of(kSignals[i]);
    // The default, or what it was and is not of a library that libfabric brought in.
    if (after.sa_handler == SIG_DFL) continue;
    EXPECT_EQ(after.sa_handler, before[i].sa_handler) << "signal " << kSignals[i];
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ADD_FAILURE() << "signal " << kSignals[i] << " still has a handler";
#endif
  }
}

TEST(OfiSignals, AreTheDefaultOnesInMainAlready) {
  // Without what tests are started with against the library's handlers.
  FILE* const probe = popen("env -u IPATH_NO_BACKTRACE '" SIGNALS_PROBE "'", "r");
  ASSERT_NE(probe, nullptr);
  std::string said(1000, '\0');
  said.resize(fread(said.data(), 1, said.size(), probe));
  ASSERT_EQ(pclose(probe), 0) << said;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  EXPECT_EQ(said.find("infinipath"), std::string::npos) << said;
#else
  EXPECT_EQ(said, "2 none\n4 none\n6 none\n7 none\n11 none\n15 none\n");
#endif
}

TEST(OfiSignals, TheProgramsOwnHandlersStay) {
  handle(SIGINT, own_handler);
  handle(SIGTERM, SIG_IGN);
  struct sigaction with_info {};
  with_info.sa_sigaction = own_action;
  with_info.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&with_info.sa_mask);
  sigaction(SIGBUS, &with_info, nullptr);
  ASSERT_TRUE(opens());
  EXPECT_EQ(action_of(SIGINT).sa_handler, own_handler);
  EXPECT_EQ(action_of(SIGTERM).sa_handler, SIG_IGN);
  EXPECT_EQ(action_of(SIGBUS).sa_sigaction, own_action);
  EXPECT_EQ(action_of(SIGBUS).sa_flags & SA_RESTART, SA_RESTART);
  for (const int signal_number : {SIGINT, SIGTERM, SIGBUS}) handle(signal_number, SIG_DFL);
}

TEST(OfiSignals, AProcessThatAbortsAfterOpeningDies) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        if (!opens()) _exit(3);
        handle(SIGABRT, SIG_DFL);
        abort();
      },
      testing::KilledBySignal(SIGABRT), "");
  EXPECT_EXIT(
      {
        if (!opens()) _exit(3);
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace holdfast::fabric::test
