#include "cli/run/janitor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>

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

bool is_alive(pid_t group) { return ::kill(-group, 0) == 0 || errno == EPERM; }

void clean_up(const std::map<pid_t, Kind>& groups, const std::string& directory) {
  for (const auto& [group, kind] : groups)
    if (kind == Kind::rank) ::kill(-group, SIGKILL);
  for (const auto& [group, kind] : groups) {
    if (kind == Kind::rank) continue;
    for (int step = 0; step < kAgentSteps && is_alive(group); ++step) ::poll(nullptr, 0, kAgentStepMs);
    ::kill(-group, SIGKILL);
  }
  remove_directory(directory);
}

[[noreturn]] void work(int pipe, const std::string& directory) {
  ::setsid();  // what the terminal sends is not meant for this one
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE}) {
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
  clean_up(groups, directory);
  ::_exit(0);
}

void tell(int pipe, Message message) noexcept { (void)!::write(pipe, &message, sizeof message); }

}  // namespace

Result<Janitor> Janitor::hire(const std::string& directory) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "holdfast-run", "making a pipe");
  File read(ends[0]);
  File write(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "holdfast-run", "starting the process that cleans up");
  if (pid == 0) work(read.get(), directory);
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
