// Started as a rank by a launcher under test: finds its peers, exchanges cards with them and checks every
// byte of theirs. Prints "rank R of S by LAUNCHER in job J" when all is well; exits 1 with the error
// otherwise.
//
// launch_probe [--timeout SECONDS] [--rounds N] [--card BYTES] [--absent RANK] [--linger SECONDS]
// --absent: that rank does not take part and leaves when its standard input or --linger ends.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "holdfast/base/random.h"
#include "holdfast/fabric/launch.h"

#ifdef PROBE_WITH_MPI
#include <mpi.h>
#endif

namespace {

using holdfast::Deadline;
using holdfast::Environment;
using holdfast::fabric::Launch;

struct Options {
  double timeout = 60;
  unsigned rounds = 1;
  std::size_t card = 5000;
  int absent = -1;
  double linger = 0;
  std::string_view mpi = "no";  // first: MPI_Init before the exchange; last: after it
};

/// Different for each rank and round, and of a length of its own; any byte occurs in it.
std::string card_of(const Options& options, std::uint32_t rank, unsigned round) {
  std::string card(options.card + rank % 3, '\0');
  std::uint64_t state = (std::uint64_t{rank} << 32) | round;
  for (char& c : card) c = static_cast<char>((state = holdfast::mix64(state + 0x9e3779b97f4a7c15ULL)) & 255);
  return card;
}

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "launch_probe: {}\n", why);
  std::exit(1);
}

void probe(const Options& options) {
  const auto environment = Environment::read();
  if (!environment) stop(environment.error().message());
  for (unsigned round = 0; round < options.rounds; ++round) {
    const auto launch = Launch::find(*environment);
    if (!launch) stop(launch.error().message());
    const auto& me = (*launch)->identity();
    if (options.absent == static_cast<int>(me.rank)) {
      fmt::print("rank {} stays away\n", me.rank);
      std::fflush(stdout);
      std::this_thread::sleep_for(std::chrono::duration<double>(options.linger));
      return;
    }
    const auto deadline = Deadline::after(
        holdfast::real_clock(),
        std::chrono::duration_cast<holdfast::Duration>(std::chrono::duration<double>(options.timeout)));
    const auto cards = (*launch)->exchange(card_of(options, me.rank, round), deadline);
    if (!cards) stop(cards.error().message());
    if (cards->size() != me.size) stop(fmt::format("{} cards for {} ranks", cards->size(), me.size));
    for (std::uint32_t rank = 0; rank < me.size; ++rank)
      if ((*cards)[rank] != card_of(options, rank, round)) stop(fmt::format("wrong card of rank {}", rank));
    if (round + 1 == options.rounds) {
      fmt::print("rank {} of {} by {} in job {}\n", me.rank, me.size, me.launcher, me.job);
      std::fflush(stdout);
    }
  }
}

#ifdef PROBE_WITH_MPI
void add_up() {
  int rank = 0, size = 0, sum = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  if (sum != size * (size - 1) / 2) stop("MPI added up wrongly");
  fmt::print("MPI works among {}\n", size);
  std::fflush(stdout);
}
#endif

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    if (key == "--timeout")
      options.timeout = std::atof(argv[i + 1]);
    else if (key == "--rounds")
      options.rounds = static_cast<unsigned>(std::atoi(argv[i + 1]));
    else if (key == "--card")
      options.card = static_cast<std::size_t>(std::atoi(argv[i + 1]));
    else if (key == "--absent")
      options.absent = std::atoi(argv[i + 1]);
    else if (key == "--linger")
      options.linger = std::atof(argv[i + 1]);
    else if (key == "--mpi")
      options.mpi = argv[i + 1];
    else
      stop(fmt::format("unknown option {}", key));
  }
#ifdef PROBE_WITH_MPI
  if (options.mpi == "first") MPI_Init(&argc, &argv), add_up();
  probe(options);
  if (options.mpi == "last") MPI_Init(&argc, &argv);
  if (options.mpi != "no") add_up(), MPI_Finalize();
#else
  if (options.mpi != "no") stop("built without MPI");
  probe(options);
#endif
  return 0;
}
