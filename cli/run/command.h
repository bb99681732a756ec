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
};

struct Command {
  std::vector<std::string> words;
  std::vector<std::string> environment;  ///< "NAME=value", replacing or added to ours
};

/// The command of a rank on this host.
Command local_command(const Options& options, const Job& job, std::uint32_t rank);

/// The command of a rank on `host`: the agent, the host, and one word for the shell there. That shell runs
/// the program in a session of its own, and obeys lines on its standard input: the name of a signal is sent
/// to the program's process group; at the end of input, the group is killed.
Command remote_command(const Options& options, const Job& job, std::uint32_t rank, const std::string& host);

/// `word` so that a POSIX shell takes it for exactly itself.
std::string quote(const std::string& word);

}  // namespace holdfast::run
