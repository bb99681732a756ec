#include "tests/core/ranks.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "tests/devices.h"

namespace holdfast::test {
namespace {

constexpr const char* kScenarioVariable = "CORE_TEST_SCENARIO";
constexpr int kRankSocket = 3;

std::map<std::string, std::function<void(Line&)>>& scenarios() {
  static std::map<std::string, std::function<void(Line&)>> all;
  return all;
}

}  // namespace

void Line::say(std::string_view text) {
  std::string line(text);
  line += '\n';
  if (send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
    ADD_FAILURE() << "cannot say \"" << text << "\": the other side is gone";
}

std::string Line::hear() {
  for (;;) {
    if (const auto end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    pollfd waited{socket_.get(), POLLIN, 0};
    if (poll(&waited, 1, static_cast<int>(kLong / 1ms)) == 0) return "(silent)";
    char buffer[4096];
    const ssize_t got = read(socket_.get(), buffer, sizeof buffer);
    if (got <= 0) return "(gone)";
    read_.append(buffer, static_cast<std::size_t>(got));
  }
}

Scenario::Scenario(const char* name, std::function<void(Line&)> run) { scenarios()[name] = std::move(run); }

std::optional<int> run_as_rank() {
  const char* const name = getenv(kScenarioVariable);
  if (name == nullptr) return std::nullopt;
  Line line{File(kRankSocket)};
  scenarios().at(name)(line);
  return ::testing::UnitTest::GetInstance()->ad_hoc_test_result().Failed() ? 1 : 0;
}

Store join() {
  auto store = Store::open();
  if (store) return std::move(*store);
  ADD_FAILURE() << store.error().message();
  _exit(1);
}

Ranks::Ranks(const std::string& scenario, Options options) {
  const std::string job = fmt::format("core-test-{:016x}", random_u64());
  directory_ = std::filesystem::temp_directory_path() / job;
  std::filesystem::create_directory(directory_);
  for (std::uint32_t rank = 0; rank < (options.start == 0 ? options.size : options.start); ++rank) {
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) std::abort();
    Variables variables{{kScenarioVariable, scenario},
                        {"HOLDFAST_RANK", std::to_string(rank)},
                        {"HOLDFAST_SIZE", std::to_string(options.size)},
                        {"HOLDFAST_JOB", job},
                        {"HOLDFAST_RENDEZVOUS", directory_},
                        {"HOLDFAST_ARENA", "64MiB"},
                        {"HOLDFAST_PAGES", "base"},
                        {"HOLDFAST_OPEN_TIMEOUT", "100"}};
    const auto add = [&](const Variables& more) {
      variables.insert(variables.end(), more.begin(), more.end());
    };
    if (const std::string device = device_for(rank); !device.empty()) add({{"HOLDFAST_INTERFACE", device}});
    add(options.variables);
    if (rank < options.each.size()) add(options.each[rank]);
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
      // Ends with the test, however that ends.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      unsetenv("HOLDFAST_LAUNCHER");
      for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
      // dup2 does not close on exec, unless it has nothing to do.
      if (sockets[1] == kRankSocket) sockets[1] = dup(kRankSocket);
      dup2(sockets[1], kRankSocket);
      execl("/proc/self/exe", scenario.c_str(), nullptr);
      _exit(127);
    }
    close(sockets[1]);
    processes_.push_back({pid, true, Line{File(sockets[0])}});
  }
}

Ranks::~Ranks() {
  for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
    if (!processes_[rank].running) continue;
    signal(rank, SIGKILL);
    end(rank);
  }
  std::filesystem::remove_all(directory_);
}

void Ranks::signal(std::size_t rank, int signal) {
  const pid_t pid = processes_[rank].pid;
  kill(pid, signal);
  // One thread takes the signal, when it has a core, and stops the others: until then they go on.
  int status = 0;
  if (signal != SIGSTOP) return;
  EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
  EXPECT_TRUE(WIFSTOPPED(status));
}

int Ranks::end(std::size_t rank) {
  Process& process = processes_[rank];
  int status = 0;
  if (waitpid(process.pid, &status, 0) != process.pid) return -1000;
  process.running = false;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

::testing::AssertionResult Ranks::all_good() {
  std::string wrong;
  for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
    if (!processes_[rank].running) continue;
    if (const int status = end(rank); status != 0)
      wrong += fmt::format("rank {} ended with {}. ", rank, status);
  }
  for (const auto& left : std::filesystem::directory_iterator("/dev/shm"))
    for (const Process& process : processes_)
      if (left.path().filename().string().find(std::to_string(process.pid)) != std::string::npos)
        wrong += fmt::format("{} was left behind. ", left.path().string());
  return wrong.empty() ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << wrong;
}

}  // namespace holdfast::test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (const auto status = holdfast::test::run_as_rank()) return *status;
  return RUN_ALL_TESTS();
}
