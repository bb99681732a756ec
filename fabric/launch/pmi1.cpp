// PMI-1's wire protocol over PMI_FD, as hydra's mpiexec and srun --mpi=pmi2 speak it (P. Balaji et al., "PMI:
// A Scalable Parallel Process-Management Interface for Extreme-Scale Systems", EuroMPI 2010; the wire as in
// MPICH's simple PMI client).
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "fabric/launch/launchers.h"
#include "fabric/launch/pmi1_line.h"
#include "fabric/launch/pmi1_text.h"

namespace holdfast::fabric::launch {
namespace {

using namespace std::chrono_literals;

/// For replies that no other rank has to come for.
constexpr Duration kReplyTimeout = 30s;
/// Longest request that every server takes: Slurm reads lines of less than 1024 bytes.
constexpr std::size_t kMaxRequest = 1000;
/// Room for "cmd=put kvsname= key= value=" and a key.
constexpr std::size_t kRequestOverhead = 28 + 64;
/// Less than this in a value, and a card would need absurdly many.
constexpr std::size_t kLeastValueBytes = 64;

/// Exchanges this process has begun; part of the keys, since no key can be put twice. All ranks open their
/// stores together, so it is the same everywhere.
std::atomic<std::uint32_t> rounds_begun{0};

Result<std::string> variable(const char* name) {
  const auto value = launcher_variable(name);
  if (!value)
    return fail(Code::invalid, kOperation,
                fmt::format("PMI-1 needs PMI_FD, PMI_RANK and PMI_SIZE, but {} is not set; start with "
                            "mpiexec.hydra or srun --mpi=pmi2, or choose another HOLDFAST_LAUNCHER",
                            name));
  return std::string(*value);
}

class Pmi1 final : public Launch {
 public:
  Pmi1(pmi1::Line& line, Identity identity, std::size_t value_bytes, const Clock& clock)
      : line_(line), clock_(clock), identity_(std::move(identity)), value_bytes_(value_bytes) {}

  const Identity& identity() const noexcept override { return identity_; }

  Result<std::vector<std::string>> exchange(std::string_view card, Deadline deadline) override {
    HOLDFAST_DO(check_card(card));
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
    HOLDFAST_TRY(std::string reply,
                 line_.ask(request, expected, clock_, Deadline::after(clock_, kReplyTimeout)));
    if (pmi1::field(reply, "rc") == "0") return reply;
    return fail(Code::system, kExchange,
                fmt::format("the PMI server refused \"{}\": {}", request.substr(0, 80), reply));
  }

  Status barrier(Deadline deadline) {
    const auto reply = line_.ask("cmd=barrier_in", "barrier_out", clock_, deadline);
    if (reply) return {};
    if (reply.error().code != Code::timed_out) return tl::unexpected(reply.error());
    // Servers give out what ranks have put only when all have come, so nobody can say who is absent.
    return fail(
        Code::timed_out, kExchange,
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

  pmi1::Line& line_;
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
  HOLDFAST_TRY(pmi1::Line* const line, pmi1::Line::get(static_cast<int>(fd), clock));
  const Deadline deadline = Deadline::after(clock, kReplyTimeout);
  HOLDFAST_TRY(const std::string maxes, line->ask("cmd=get_maxes", "maxes", clock, deadline));
  HOLDFAST_TRY(const std::string named, line->ask("cmd=get_my_kvsname", "my_kvsname", clock, deadline));
  const auto longest = parse_count("vallen_max", pmi1::field(maxes, "vallen_max").value_or(""));
  identity.job = std::string(pmi1::field(named, "kvsname").value_or(""));
  const std::size_t taken = kRequestOverhead + identity.job.size();
  if (!longest || identity.job.empty() || *longest <= kLeastValueBytes ||
      taken + kLeastValueBytes > kMaxRequest)
    return fail(Code::system, kOperation,
                fmt::format("unusable answers of the PMI server: {}; {}", maxes, named));
  // One less: servers differ on whether the limit counts a terminating zero.
  const std::size_t value_bytes = std::min<std::size_t>(*longest - 1, kMaxRequest - taken);
  return std::make_unique<Pmi1>(*line, std::move(identity), value_bytes, clock);
}

}  // namespace holdfast::fabric::launch
