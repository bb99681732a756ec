// holdfast-run's command line.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"

namespace holdfast::run {

enum class Placement : std::uint8_t {
  block,        ///< ranks 0 to k on the first host, the next ones on the second, ...
  round_robin,  ///< rank 0 on the first host, rank 1 on the second, ...
};

struct Options {
  std::uint32_t ranks = 1;
  std::vector<std::string> hosts;  ///< empty: all ranks here, without an agent
  Placement placement = Placement::block;
  std::vector<std::string> agent{"ssh"};      ///< run as AGENT... HOST COMMAND, as ssh is
  std::vector<std::string> exported;          ///< further environment variables for ranks on other hosts
  std::string rendezvous;                     ///< where the private directory is made; empty: chosen
  bool keep_going = false;                    ///< a failed rank does not end the others
  bool pin = true;                            ///< bind local ranks to NUMA nodes
  bool prefix = true;                         ///< "[3] " before the lines of rank 3
  Duration timeout = Duration::max();         ///< of the whole job
  Duration grace = std::chrono::seconds(10);  ///< between asking ranks to end and killing them
  std::vector<std::string> command;           ///< program and its arguments; not empty
};

/// What to do: run, or print (help, version, a complaint) and exit.
struct Leave {
  int code = 0;
};

std::variant<Options, Leave> parse_options(int argc, char** argv);

/// The host of a rank; "" for this one.
std::string host_of(const Options& options, std::uint32_t rank);

}  // namespace holdfast::run
