// Real processes for tests of a whole job: each rank is this program again, running one scenario by its name.
// The test drives the ranks over a socket, line by line, and sends them signals.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/file.h"
#include "holdfast/holdfast.h"
#include "tests/core/expect.h"

namespace holdfast::test {

using namespace std::chrono_literals;

/// Longer than anything here takes on a machine that does much else; ends a test that hangs.
inline constexpr Duration kLong = 100s;

template <class Condition>
bool comes_true(Condition condition) {
  const Deadline deadline = Deadline::after(real_clock(), kLong);
  while (!condition()) {
    if (deadline.passed(real_clock())) return false;
    sched_yield();
  }
  return true;
}

/// Lines between a rank and the test.
class Line {
 public:
  explicit Line(File socket) : socket_(std::move(socket)) {}
  void say(std::string_view text);
  /// The next line; "(gone)" at the other's end, "(silent)" if nothing comes for long.
  std::string hear();

 private:
  File socket_;
  std::string read_;
};

/// What a rank does; its expectations are the test's. Register as a global of the file whose test runs it.
struct Scenario {
  Scenario(const char* name, std::function<void(Line& test)> run);
};

/// The program's other face: runs the scenario that a parent asked for, if one did; its exit status.
std::optional<int> run_as_rank();

/// Inside a rank: opens the store as the environment says, or ends the process.
Store join();

using Variables = std::vector<std::pair<std::string, std::string>>;

class Ranks {
 public:
  struct Options {
    std::uint32_t size = 2;       ///< of the job
    std::uint32_t start = 0;      ///< ranks really started; 0: all
    Variables variables;          ///< for all
    std::vector<Variables> each;  ///< for one rank each
  };
  Ranks(const std::string& scenario, Options options);
  ~Ranks();  ///< whoever still runs is killed
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  Line& operator[](std::size_t rank) { return processes_[rank].line; }
  /// SIGSTOP: returns when all of its threads stand still.
  void signal(std::size_t rank, int signal);
  /// Waits for the end of one: its exit status, or minus the signal that ended it.
  int end(std::size_t rank);
  /// Waits for all that have not been waited for. All ended well, and left nothing behind.
  ::testing::AssertionResult all_good();

 private:
  struct Process {
    pid_t pid = -1;
    bool running = false;
    Line line;
  };
  std::string directory_;
  std::vector<Process> processes_;
};

}  // namespace holdfast::test
