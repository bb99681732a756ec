#include "cli/run/janitor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include "cli/run/descendants.h"
#include "cli/run/directory.h"

namespace holdfast::run {
namespace {

/// One message: a group that came (with its kind) or went.
struct Message {
  pid_t group;
  Kind kind;
  bool alive;
};

/// Agents end what they run elsewhere when their input ends; they get this long, in steps.
constexpr int kAgentSteps = 100;
constexpr int kAgentStepMs = 50;

/// The directory first: it must not wait for an agent that hangs, nor be there when this process is killed,
/// too.
void clean_up(const std::map<pid_t, Kind>& groups, const Job& job) {
  remove_directory(job.directory);
  for (const auto& [group, kind] : groups)
    if (kind == Kind::rank) ::kill(-group, SIGKILL);
  end_job(job.name);
  const auto agent_runs = [](const auto& entry) {
    return entry.second == Kind::agent && !has_ended(entry.first);
  };
  for (int step = 0; step < kAgentSteps && std::ranges::any_of(groups, agent_runs); ++step)
    ::poll(nullptr, 0, kAgentStepMs);
  for (const auto& [group, kind] : groups) ::kill(-group, SIGKILL);
  remove_directory(job.directory);  // what a rank wrote between the removal of the files and of the directory
}

[[noreturn]] void work(int pipe, const Job& job) {
  ::setsid();                              // what the terminal sends is not meant for this one
  ::prctl(PR_SET_NAME, "holdfast-clean");  // nor `pkill -9 holdfast-run`
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE}) {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(number, &ignore, nullptr);
  }
  // Whoever reads our output must see its end when holdfast-run ends.
  if (const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC); null >= 0)
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
  // Not the lock of the directory, nor anything else but the pipe.
  for (int fd = STDERR_FILENO + 1; fd < 256; ++fd)
    if (fd != pipe) ::close(fd);
  std::map<pid_t, Kind> groups;
  for (;;) {
    Message message{};
    const ssize_t n =
        ::read(pipe, &message, sizeof message);  // as small a write to a pipe comes in one piece
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof message) break;
    if (message.alive)
      groups[message.group] = message.kind;
    else
      groups.erase(message.group);
  }
  clean_up(groups, job);
  ::_exit(0);
}

void tell(int pipe, Message message) noexcept { (void)!::write(pipe, &message, sizeof message); }

}  // namespace

Result<Janitor> Janitor::hire(const Job& job) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "holdfast-run", "making a pipe");
  File read(ends[0]);
  File write(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "holdfast-run", "starting the process that cleans up");
  if (pid == 0) work(read.get(), job);
  return Janitor(pid, std::move(write));
}

Janitor::Janitor(Janitor&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pipe_(std::move(other.pipe_)) {}

Janitor::~Janitor() {
  if (pid_ < 0) return;
  pipe_.reset();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Janitor::started(pid_t group, Kind kind) noexcept { tell(pipe_.get(), {group, kind, true}); }
void Janitor::ended(pid_t group) noexcept { tell(pipe_.get(), {group, Kind::rank, false}); }

}  // namespace holdfast::run
