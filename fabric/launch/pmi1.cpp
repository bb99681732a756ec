// PMI-1's wire protocol over PMI_FD, as hydra's mpiexec and srun --mpi=pmi2 speak it (P. Balaji et al., "PMI: A
// Scalable Parallel Process-Management Interface for Extreme-Scale Systems", EuroMPI 2010; the wire as in
// MPICH's simple PMI client).
//
// The descriptor may be shared with an MPI library in this process. That works because the protocol is one
// request, one reply, and each side reads exactly its reply: whoever comes second finds the line idle.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "fabric/launch/launchers.h"
#include "fabric/launch/pmi1_text.h"

namespace holdfast::fabric::launch {
namespace {

using namespace std::chrono_literals;

/// For replies that no other rank has to come for.
constexpr Duration kReplyTimeout = 30s;
/// Longest line of the protocol (PMIU_MAXLINE of MPICH, doubled).
constexpr std::size_t kMaxLine = 8192;
/// What every server takes, whatever it says (the protocol's constants).
constexpr std::size_t kLeastValueBytes = 64;
constexpr std::size_t kMostValueBytes = 1024;

/// Exchanges this process has begun; part of the keys, since no key can be put twice. All ranks open their
/// stores together, so it is the same everywhere.
std::atomic<std::uint32_t> rounds_begun{0};
/// A barrier that was given up leaves its reply on the line, where the next request would take it for its own.
std::atomic<bool> line_spoilt{false};

Result<std::string> variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody here calls setenv
  if (value == nullptr || *value == '\0')
    return fail(Code::invalid, kOperation,
                fmt::format("PMI-1 needs PMI_FD, PMI_RANK and PMI_SIZE, but {} is not set; start with "
                            "mpiexec.hydra or srun --mpi=pmi2, or choose another HOLDFAST_LAUNCHER",
                            name));
  return std::string(value);
}

/// The line to the server. The descriptor is the launcher's and MPI's, too: never closed here.
class Line {
 public:
  Line(int fd, const Clock& clock) : fd_(fd), clock_(clock) {}

  /// Sends a request and reads its reply, which has to be of the kind `expected`.
  Result<std::string> ask(std::string_view request, std::string_view expected, Deadline deadline) {
    HOLDFAST_DO(send(request));
    HOLDFAST_TRY(std::string reply, receive(deadline));
    if (pmi1::field(reply, "cmd") != expected)
      return fail(Code::system, kExchange,
                  fmt::format("the PMI server answered \"{}\" where {} was due", reply, expected));
    return reply;
  }
  Result<std::string> ask(std::string_view request, std::string_view expected) {
    return ask(request, expected, Deadline::after(clock_, kReplyTimeout));
  }

 private:
  Status send(std::string_view request) {
    std::string line(request);
    line += '\n';
    std::string_view rest = line;
    while (!rest.empty()) {
      // MSG_NOSIGNAL: a server that has gone is an error, not the end of this process.
      ssize_t n = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == ENOTSOCK) n = ::write(fd_, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno(errno, kExchange, "writing to the PMI server (after MPI_Finalize?)");
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  /// One line, and not a byte more: what follows may be MPI's.
  Result<std::string> receive(Deadline deadline) {
    std::string line;
    while (line.size() < kMaxLine) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(deadline.left(clock_), 1s));
      pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
      const int polled = ::poll(&ready, 1, static_cast<int>(left.count()));
      if (polled < 0 && errno != EINTR) return fail_errno(errno, kExchange, "waiting for the PMI server");
      if (polled <= 0) {
        if (deadline.passed(clock_)) return fail(Code::timed_out, kExchange, "the PMI server did not answer");
        continue;
      }
      char c = 0;
      const ssize_t n = ::read(fd_, &c, 1);
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n < 0) return fail_errno(errno, kExchange, "reading from the PMI server");
      if (n == 0) return fail(Code::system, kExchange, "the PMI server closed the line");
      if (c == '\n') return line;
      line += c;
    }
    return fail(Code::system, kExchange, "the PMI server sent a line without end");
  }

  int fd_;
  const Clock& clock_;
};

class Pmi1 final : public Launch {
 public:
  Pmi1(Line line, Identity identity, std::size_t value_bytes, const Clock& clock)
      : line_(line), clock_(clock), identity_(std::move(identity)), value_bytes_(value_bytes) {}

  const Identity& identity() const noexcept override { return identity_; }

  Result<std::vector<std::string>> exchange(std::string_view card, Deadline deadline) override {
    HOLDFAST_DO(check_card(card));
    if (line_spoilt.load())
      return fail(Code::system, kExchange,
                  "an earlier exchange ran into its deadline, and PMI-1 cannot start over; start the job again");
    const std::uint32_t round = rounds_begun.fetch_add(1);
    const std::vector<std::string> values = pmi1::to_values(card, value_bytes_);
    for (std::size_t i = 0; i < values.size(); ++i)
      HOLDFAST_DO(command(fmt::format("cmd=put kvsname={} key={} value={}", identity_.job,
                                      key(round, identity_.rank, i), values[i]),
                          "put_result"));
    HOLDFAST_DO(barrier(deadline));
    std::vector<std::string> cards;
    cards.reserve(identity_.size);
    for (std::uint32_t rank = 0; rank < identity_.size; ++rank) {
      HOLDFAST_TRY(std::string theirs, get_card(round, rank));
      cards.push_back(std::move(theirs));
    }
    return cards;
  }

 private:
  static std::string key(std::uint32_t round, std::uint32_t rank, std::size_t piece) {
    return fmt::format("holdfast-{}-{}-{}", round, rank, piece);
  }

  /// A request whose reply says rc=0 where all is well.
  Result<std::string> command(std::string_view request, std::string_view expected) {
    HOLDFAST_TRY(std::string reply, line_.ask(request, expected));
    if (pmi1::field(reply, "rc") == "0") return reply;
    return fail(Code::system, kExchange,
                fmt::format("the PMI server refused \"{}\": {}", request.substr(0, 80), reply));
  }

  Status barrier(Deadline deadline) {
    const auto reply = line_.ask("cmd=barrier_in", "barrier_out", deadline);
    if (reply) return {};
    if (reply.error().code != Code::timed_out) return tl::unexpected(reply.error());
    line_spoilt.store(true);
    // Servers give out what ranks have put only when all have come, so nobody can say who is absent.
    return fail(Code::timed_out, kExchange,
                fmt::format("not all {} ranks of job {} came to the exchange in time (PMI-1 does not tell which; "
                            "holdfast-run and PMIx do); are they running, and did they get as far as opening "
                            "their store?",
                            identity_.size, identity_.job));
  }

  Result<std::string> get_card(std::uint32_t round, std::uint32_t rank) {
    std::vector<std::string> values;
    std::size_t count = 1;
    for (std::size_t i = 0; i < count; ++i) {
      HOLDFAST_TRY(const std::string reply,
                   command(fmt::format("cmd=get kvsname={} key={}", identity_.job, key(round, rank, i)),
                           "get_result"));
      values.emplace_back(pmi1::field(reply, "value").value_or(""));
      if (i == 0) count = std::min(pmi1::count_of(values.front()).value_or(0), 2 * kMaxCardBytes);
    }
    if (auto card = pmi1::from_values(values)) return std::move(*card);
    return fail(Code::system, kExchange,
                fmt::format("the PMI server garbled the card of rank {} ({} values)", rank, values.size()));
  }

  Line line_;
  const Clock& clock_;
  Identity identity_;
  std::size_t value_bytes_;
};

}  // namespace

Result<std::unique_ptr<Launch>> open_pmi1(const Clock& clock) {
  HOLDFAST_TRY(const std::string fd_text, variable("PMI_FD"));
  HOLDFAST_TRY(const std::string rank_text, variable("PMI_RANK"));
  HOLDFAST_TRY(const std::string size_text, variable("PMI_SIZE"));
  HOLDFAST_TRY(const std::uint32_t fd, parse_count("PMI_FD", fd_text));
  Identity identity{.launcher = "pmi1"};
  HOLDFAST_TRY(identity.rank, parse_count("PMI_RANK", rank_text));
  HOLDFAST_TRY(identity.size, parse_count("PMI_SIZE", size_text));
  if (identity.size == 0 || identity.size > kMaxRanks || identity.rank >= identity.size)
    return fail(Code::invalid, kOperation,
                fmt::format("PMI_RANK={} and PMI_SIZE={} cannot both be", identity.rank, identity.size));
  if (::fcntl(static_cast<int>(fd), F_GETFD) < 0)
    return fail(Code::system, kOperation,
                fmt::format("PMI_FD={} is not open: MPI_Finalize has closed it, or this process was started by a "
                            "rank instead of the launcher; open the store before MPI_Finalize",
                            fd));
  Line line(static_cast<int>(fd), clock);
  // Asked again where MPI has asked before: servers answer each time.
  HOLDFAST_TRY(const std::string hello,
               line.ask("cmd=init pmi_version=1 pmi_subversion=1", "response_to_init"));
  if (pmi1::field(hello, "rc") != "0")
    return fail(Code::system, kOperation, fmt::format("the PMI server speaks another version: {}", hello));
  HOLDFAST_TRY(const std::string maxes, line.ask("cmd=get_maxes", "maxes"));
  const auto longest = parse_count("vallen_max", pmi1::field(maxes, "vallen_max").value_or(""));
  HOLDFAST_TRY(const std::string named, line.ask("cmd=get_my_kvsname", "my_kvsname"));
  identity.job = std::string(pmi1::field(named, "kvsname").value_or(""));
  if (!longest || *longest < kLeastValueBytes || identity.job.empty())
    return fail(Code::system, kOperation, fmt::format("unusable answers of the PMI server: {}; {}", maxes, named));
  // One less: servers differ on whether the limit counts a terminating zero.
  const std::size_t value_bytes = std::min<std::size_t>(*longest, kMostValueBytes) - 1;
  return std::make_unique<Pmi1>(line, std::move(identity), value_bytes, clock);
}

}  // namespace holdfast::fabric::launch
