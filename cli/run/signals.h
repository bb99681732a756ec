// The signals that are passed on to the ranks.
#pragma once

#include <algorithm>
#include <array>
#include <csignal>
#include <string_view>

namespace holdfast::run {

struct PassedOn {
  int number;
  std::string_view word;  ///< for the shell that starts a rank elsewhere
  bool ends = false;      ///< the job, too
};

inline constexpr std::array kPassedOn = {PassedOn{SIGINT, "INT", true}, PassedOn{SIGTERM, "TERM", true},
                                         PassedOn{SIGHUP, "HUP", true}, PassedOn{SIGQUIT, "QUIT", true},
                                         PassedOn{SIGUSR1, "USR1"}, PassedOn{SIGUSR2, "USR2"},
                                         PassedOn{SIGALRM, "ALRM"}, PassedOn{SIGWINCH, "WINCH"},
                                         // Elsewhere a rank's group is nobody's: TSTP would pass it by.
                                         PassedOn{SIGTSTP, "STOP"}, PassedOn{SIGCONT, "CONT"}};

/// nullptr for one that is not.
constexpr const PassedOn* passed_on(int number) noexcept {
  const auto* const found = std::ranges::find(kPassedOn, number, &PassedOn::number);
  return found == kPassedOn.end() ? nullptr : found;
}

}  // namespace holdfast::run
