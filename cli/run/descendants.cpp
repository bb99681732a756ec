#include "cli/run/descendants.h"

#include <dirent.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string_view>
#include <utility>

namespace holdfast::run {
namespace {

/// Looks again this often at most, since a process may start others faster than they are killed.
constexpr int kRounds = 1000;
constexpr int kRoundMs = 2;

/// Empty where the process has ended, which reading tells, too, if it ends after opening: so not by iterators
/// over the buffer, which would throw.
std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

void for_each_process(const std::function<void(pid_t, const std::string& directory)>& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir("/proc"), &::closedir);
  if (!listing) return;
  while (const dirent* const entry = ::readdir(listing.get())) {  // NOLINT(concurrency-mt-unsafe): own DIR
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) visit(pid, "/proc/" + std::string(name));
  }
}

struct ProcessState {
  char letter = 'X';
  pid_t parent = 0;
};

/// From "pid (name) state parent ...", where the name may be anything.
ProcessState state_of(const std::string& directory) {
  const std::string text = content_of(directory + "/stat");
  const std::size_t name_end = text.rfind(") ");
  ProcessState state;
  if (name_end == std::string::npos || name_end + 4 >= text.size()) return state;
  state.letter = text[name_end + 2];
  std::from_chars(text.data() + name_end + 4, text.data() + text.size(), state.parent);
  return state;
}

}  // namespace

bool has_ended(pid_t pid) {
  const char letter = state_of(fmt::format("/proc/{}", pid)).letter;
  return letter == 'Z' || letter == 'X';
}

void adopt_orphans() noexcept { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

void end_orphans(pid_t spared) {
  const pid_t self = ::getpid();
  for (int round = 0; round < kRounds; ++round) {
    bool found = false;
    for_each_process([&](pid_t pid, const std::string& directory) {
      if (pid == spared || state_of(directory).parent != self) return;
      found = true;
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, WNOHANG);  // its children are ours afterwards, and found in the next round
    });
    if (!found) return;
    ::poll(nullptr, 0, kRoundMs);
  }
}

void end_job(const std::string& job) {
  const std::string mark = '\0' + ("HOLDFAST_JOB=" + job) + '\0';
  for (int round = 0; round < kRounds; ++round) {
    bool found = false;
    for_each_process([&](pid_t pid, const std::string& directory) {
      // That of a process that has been killed is empty.
      if (('\0' + content_of(directory + "/environ")).find(mark) == std::string::npos) return;
      found = ::kill(pid, SIGKILL) == 0 || found;
    });
    if (!found) return;
    ::poll(nullptr, 0, kRoundMs);
  }
}

}  // namespace holdfast::run
