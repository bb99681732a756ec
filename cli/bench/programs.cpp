#include "cli/bench/programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "holdfast/base/file.h"

namespace holdfast::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOperation = "holdfast bench";
constexpr std::string_view kPrefix = "bench_";

bool is_program(const fs::directory_entry& entry) {
  return entry.path().filename().string().starts_with(kPrefix) && entry.is_regular_file() &&
         ::access(entry.path().c_str(), X_OK) == 0;
}

std::vector<fs::path> programs_in(const fs::path& folder) {
  std::vector<fs::path> programs;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (is_program(*at)) programs.push_back(at->path());
  std::ranges::sort(programs);
  return programs;
}

Result<std::string> read_all(int fd) {
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, kOperation, "reading a program's output");
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<std::vector<fs::path>> find_bench_programs() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(Code::system, kOperation, "/proc/self/exe: " + error.message());
  const fs::path here = self.parent_path();
  const std::array folders = {here, here.parent_path() / "libexec/holdfast", here.parent_path() / "bench"};
  for (const fs::path& folder : folders)
    if (auto programs = programs_in(folder); !programs.empty()) return programs;
  return fail(
      Code::not_found, kOperation,
      fmt::format("no program bench_* in {}, {} or {}; build with HOLDFAST_BENCH=ON and install again",
                  folders[0].string(), folders[1].string(), folders[2].string()));
}

Result<std::string> run_program(const fs::path& program, const std::vector<std::string>& arguments,
                                Chatter chatter) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, kOperation, "pipe");
  const File from_child(ends[0]);
  File to_parent(ends[1]);
  std::vector<std::string> texts = {program.string()};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_parent.get(), STDOUT_FILENO);
  if (chatter == Chatter::dropped)
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = -1;
  const int rc = ::posix_spawn(&child, program.c_str(), &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return fail_errno(rc, kOperation, program.string());
  to_parent.reset();

  auto output = read_all(from_child.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFSIGNALED(status))
    return fail(Code::system, kOperation,
                fmt::format("{} was ended by signal {}", program.string(), WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return fail(Code::system, kOperation,
                fmt::format("{} ended with status {}", program.string(), WEXITSTATUS(status)));
  return output;
}

}  // namespace holdfast::cli
