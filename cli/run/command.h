// What is executed to start a rank: the program itself, or an agent that runs it on another host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/run/options.h"

namespace holdfast::run {

/// The same for all ranks of a job.
struct Job {
  std::string name;
  std::string directory;          ///< rendezvous
  std::string working_directory;  ///< of this process; ranks elsewhere go there, too
  std::string program;            ///< holdfast-run itself, which may be on other hosts as well
};

struct Command {
  std::vector<std::string> words;
  std::vector<std::string> environment;  ///< "NAME=value", replacing or added to ours
};

/// The command of a rank on this host.
Command local_command(const Options& options, const Job& job, std::uint32_t rank);

struct RemoteRank {
  std::uint32_t rank = 0;
  std::string host;
  std::uint32_t index_there = 0;  ///< of the ranks on that host
};

/// The command of a rank on another host: the agent, the host, and one word for the shell there. That shell
/// runs the program in a session of its own, on a NUMA node where it finds holdfast-run to do that, and obeys
/// lines on its standard input: the name of a signal is sent to the program's process group; at the end of
/// input, the group is killed and the rendezvous directory removed. When the program has ended, so do all
/// that it started, as far as they carry the job's name and the rank in their environment.
Command remote_command(const Options& options, const Job& job, const RemoteRank& rank);

/// `word` so that a POSIX shell takes it for exactly itself.
std::string quote(const std::string& word);

}  // namespace holdfast::run
