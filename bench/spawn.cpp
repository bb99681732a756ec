#include "bench/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace holdfast::bench {
namespace {

constexpr std::string_view kOperation = "bench::spawn_rank";

constexpr std::string_view kPrefix = "holdfast-bench-";

/// Removes the directories in `base` whose makers, named in them, were killed.
void remove_left_over(const std::filesystem::path& base) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(base, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    pid_t maker = 0;
    const auto number = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), maker);
    if (number.ec != std::errc() || *number.ptr != '.') continue;
    struct stat status {};
    if (maker > 0 && ::kill(maker, 0) != 0 && errno == ESRCH && ::lstat(entry.path().c_str(), &status) == 0 &&
        S_ISDIR(status.st_mode) && status.st_uid == ::geteuid())
      std::filesystem::remove_all(entry.path(), ignored);
  }
}

}  // namespace

Result<RendezvousDirectory> RendezvousDirectory::create() {
  std::error_code error;
  auto base = std::filesystem::temp_directory_path(error);
  if (error) return fail(Code::system, kOperation, "no directory for temporary files; set TMPDIR to one");
  remove_left_over(base);
  std::string path = base / (std::string(kPrefix) + std::to_string(::getpid()) + ".XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) return fail_errno(errno, kOperation, "mkdtemp " + path);
  return RendezvousDirectory(std::move(path));
}

RendezvousDirectory::~RendezvousDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

void set_launch_environment(const RendezvousDirectory& directory, const Rank& rank) {
  ::setenv("HOLDFAST_LAUNCHER", "rendezvous", 1);
  ::setenv("HOLDFAST_RENDEZVOUS", directory.path().c_str(), 1);
  ::setenv("HOLDFAST_JOB", std::filesystem::path(directory.path()).filename().c_str(), 1);
  ::setenv("HOLDFAST_RANK", std::to_string(rank.rank).c_str(), 1);
  ::setenv("HOLDFAST_SIZE", std::to_string(rank.size).c_str(), 1);
}

Result<Spawned> spawn_rank(const RendezvousDirectory& directory, const Rank& rank,
                           const std::vector<std::string>& arguments) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno(errno, kOperation, "socketpair");
  File ours(ends[0]);
  const File theirs(ends[1]);
  std::vector<std::string> texts = {"holdfast-bench-rank"};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, kOperation, "fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    set_launch_environment(directory, rank);
    // dup2 onto itself would leave the descriptor to be closed by exec.
    if (theirs.get() == kChildSocket)
      ::fcntl(kChildSocket, F_SETFD, 0);
    else
      ::dup2(theirs.get(), kChildSocket);
    ::execv("/proc/self/exe", pointers.data());
    ::_exit(127);
  }
  return Spawned{std::move(ours), child};
}

void end_rank(pid_t pid) noexcept {
  if (pid <= 0) return;
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

bool write_all(int fd, const std::string& text) noexcept {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t sent = ::send(fd, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    done += static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace holdfast::bench
