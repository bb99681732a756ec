#include "cli/run/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace holdfast::run {
namespace {

struct Pipe {
  File read;
  File write;
};

std::optional<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  return Pipe{File(ends[0]), File(ends[1])};
}

std::vector<std::string> merged_environment(const std::vector<std::string>& changes) {
  std::vector<std::string> merged = changes;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view assignment = *at;
    const std::string_view name = assignment.substr(0, assignment.find('=') + 1);
    if (std::ranges::none_of(changes, [&](const std::string& c) { return c.starts_with(name); }))
      merged.emplace_back(assignment);
  }
  return merged;
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> made;
  made.reserve(words.size() + 1);
  for (const std::string& word : words)
    made.push_back(const_cast<char*>(word.c_str()));  // exec writes nothing
  made.push_back(nullptr);
  return made;
}

/// All that happens between fork and exec; everything is prepared, nothing allocates.
struct ChildPlan {
  char* const* words;
  char* const* environment;
  int input, output, errors, complaint;
  Kind kind;
  const cpu_set_t* cpus;
  const Inherited* inherited;
  pid_t parent;
};

[[noreturn]] void become(const ChildPlan& plan) {
  ::setpgid(0, 0);
  if (plan.kind == Kind::rank) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != plan.parent) ::_exit(1);  // it died before prctl
  }
  if (plan.cpus != nullptr) ::sched_setaffinity(0, sizeof *plan.cpus, plan.cpus);  // a wish, not a need
  ::setrlimit(RLIMIT_NOFILE, &plan.inherited->descriptors);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &standard, nullptr);
  ::sigprocmask(SIG_SETMASK, &plan.inherited->signals, nullptr);
  if (::dup2(plan.input, STDIN_FILENO) >= 0 && ::dup2(plan.output, STDOUT_FILENO) >= 0 &&
      ::dup2(plan.errors, STDERR_FILENO) >= 0)
    ::execvpe(plan.words[0], plan.words, plan.environment);
  const int error = errno;
  (void)!::write(plan.complaint, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

tl::expected<Process, NotStarted> start(const Command& command, Kind kind,
                                        const std::optional<cpu_set_t>& cpus, const Inherited& inherited) {
  const auto failed = [](int error, bool exec) { return tl::unexpected(NotStarted{error, exec}); };
  auto output = make_pipe();
  auto errors = make_pipe();
  auto complaint = make_pipe();
  std::optional<Pipe> input;
  if (kind == Kind::agent) {
    input = make_pipe();
  } else {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) input = Pipe{File(null), File()};
  }
  if (!output || !errors || !complaint || !input) return failed(errno, false);

  const auto words = pointers(command.words);
  const auto assignments = merged_environment(command.environment);
  const auto environment = pointers(assignments);
  const ChildPlan plan{.words = words.data(),
                       .environment = environment.data(),
                       .input = input->read.get(),
                       .output = output->write.get(),
                       .errors = errors->write.get(),
                       .complaint = complaint->write.get(),
                       .kind = kind,
                       .cpus = cpus ? &*cpus : nullptr,
                       .inherited = &inherited,
                       .parent = ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) return failed(errno, false);
  if (pid == 0) become(plan);
  ::setpgid(pid, pid);  // here as well as there: whoever is first, it is done before anyone signals the group

  complaint->write.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(complaint->read.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof error) {
    ::waitpid(pid, nullptr, 0);
    return failed(error, true);
  }
  ::fcntl(output->read.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(errors->read.get(), F_SETFL, O_NONBLOCK);
  if (input->write) ::fcntl(input->write.get(), F_SETFL, O_NONBLOCK);
  return Process{.pid = pid,
                 .input = std::move(input->write),
                 .output = std::move(output->read),
                 .errors = std::move(errors->read)};
}

}  // namespace holdfast::run
