// Watches over the ranks of a job from the first start to the last end.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/run/command.h"
#include "cli/run/janitor.h"
#include "cli/run/options.h"
#include "cli/run/process.h"
#include "cli/run/sink.h"
#include "cli/run/stream.h"

namespace holdfast::run {

class Supervisor {
 public:
  /// Everything given stays the caller's. Signals INT, TERM, HUP, USR1, USR2 and CHLD have to be blocked.
  Supervisor(const Options& options, const Job& job, Janitor& janitor, const Inherited& inherited);

  /// Starts all ranks, and returns holdfast-run's exit code when none is left and their output was taken.
  /// Nobody who does not read it keeps signals, ends of ranks or the timeout waiting.
  int run();

  /// How a child has ended.
  struct End {
    int code = 0;
    int signal = 0;  ///< that ended it; 0: it returned
  };

 private:
  enum class Ending : std::uint8_t { no, asked, killed };
  struct Rank {
    Process process;
    Kind kind = Kind::rank;
    std::string host;
    std::optional<Stream> output;
    std::optional<Stream> errors;
    bool running = false;
    bool by_itself = false;  ///< had ended before the job was: its code counts, whoever is looked at first

    std::array<std::optional<Stream>*, 2> streams() { return {&output, &errors}; }
  };

  bool start_all();
  void refuse(std::uint32_t rank, const NotStarted& why);
  void turn();
  void pass_on(Stream& stream);
  void write_to(Sink& sink);
  bool output_left();
  void pass_on_rest();
  void drop_output();
  void take_signal(int number);
  void reap();
  void reap_orphans();
  void ended(std::uint32_t rank, const End& end);
  void send_signal(Rank& rank, int number);
  void end_all(int number);
  void end_in_time();
  void kill_in_time();
  int wait_ms() const;
  void complain(const std::string& what);

  const Options& options_;
  const Job& job_;
  Janitor& janitor_;
  const Inherited& inherited_;
  File signals_;
  Sink output_;
  std::optional<Sink> apart_;  ///< for standard error, where it is another file
  Sink& errors_;
  std::vector<Rank> ranks_;
  std::uint32_t running_ = 0;
  int code_ = 0;
  Ending ending_ = Ending::no;
  std::uint32_t asked_ = 0;                 ///< how often a signal or the timeout has asked for the end
  Deadline give_up_ = Deadline::never();    // of the whole job
  Deadline next_step_ = Deadline::never();  // when those that were asked to end are killed, or output dropped
};

}  // namespace holdfast::run
