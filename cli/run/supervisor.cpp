#include "cli/run/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>
#include <system_error>

#include "cli/run/descendants.h"
#include "cli/run/exit_codes.h"
#include "cli/run/pinning.h"
#include "cli/run/signals.h"

namespace holdfast::run {
namespace {

/// The grace that nothing is shorter than once something had to be killed, or is still to be written.
constexpr Duration kLeastGrace = std::chrono::seconds(1);
/// ssh's own exit code where it, not the program, failed.
constexpr int kCodeAgentFailed = 255;

/// How a child has ended; nothing while it runs. It is left unreaped, so that its number, which is its
/// group's, is nobody else's yet.
std::optional<Supervisor::End> end_of(pid_t pid) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
    return std::nullopt;
  return info.si_code == CLD_EXITED ? Supervisor::End{info.si_status, 0}
                                    : Supervisor::End{kCodeSignal + info.si_status, info.si_status};
}

}  // namespace

Supervisor::Supervisor(const Options& options, const Job& job, Janitor& janitor, const Inherited& inherited)
    : options_(options),
      job_(job),
      janitor_(janitor),
      inherited_(inherited),
      output_(STDOUT_FILENO),
      // One where they are one, or lines of both would be mixed where one is taken in parts.
      errors_(are_one(STDOUT_FILENO, STDERR_FILENO) ? output_ : apart_.emplace(STDERR_FILENO)),
      ranks_(options.ranks) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  for (const PassedOn& signal : kPassedOn) ::sigaddset(&set, signal.number);
  signals_ = File(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int Supervisor::run() {
  if (!signals_) {
    complain(fmt::format("signalfd: {}", std::generic_category().message(errno)));
    return 1;
  }
  give_up_ = Deadline::after(real_clock(), options_.timeout);
  // An agent's own children are its affair (ssh may leave a shared connection).
  const bool adopts = options_.hosts.empty();
  if (adopts) adopt_orphans();
  if (!start_all()) end_all(SIGTERM);
  while (running_ > 0) {
    turn();
    end_in_time();
    kill_in_time();
  }
  if (adopts) end_orphans(janitor_.pid());
  pass_on_rest();
  return code_;
}

bool Supervisor::start_all() {
  const std::vector<cpu_set_t> nodes =
      options_.pin && options_.hosts.empty() ? node_cpus() : std::vector<cpu_set_t>();
  std::map<std::string, std::uint32_t> on_host;
  for (std::uint32_t i = 0; i < ranks_.size(); ++i) {
    Rank& rank = ranks_[i];
    rank.host = host_of(options_, i);
    rank.kind = rank.host.empty() ? Kind::rank : Kind::agent;
    const Command command = rank.kind == Kind::rank
                                ? local_command(options_, job_, i)
                                : remote_command(options_, job_, {i, rank.host, on_host[rank.host]++});
    std::optional<cpu_set_t> cpus;
    if (!nodes.empty()) cpus = nodes[i % nodes.size()];
    auto process = start(command, rank.kind, cpus, inherited_);
    if (!process) {
      refuse(i, process.error());
      return false;
    }
    rank.process = std::move(*process);
    rank.running = true;
    ++running_;
    janitor_.started(rank.process.pid, rank.kind);
    const std::string prefix = options_.prefix ? fmt::format("[{}] ", i) : "";
    rank.output.emplace(std::move(rank.process.output), output_, prefix);
    rank.errors.emplace(std::move(rank.process.errors), errors_, prefix);
  }
  return true;
}

void Supervisor::refuse(std::uint32_t rank, const NotStarted& why) {
  const std::string message = std::generic_category().message(why.error_number);
  const bool agent = ranks_[rank].kind == Kind::agent;
  const std::string& program = agent ? options_.agent.front() : options_.command.front();
  code_ = !why.exec ? 1 : why.error_number == ENOENT ? kCodeNotFound : kCodeNotExecutable;
  if (!why.exec)
    complain(
        fmt::format("cannot start rank {} of {}: {}; raise the limits (ulimit -n, ulimit -u), or start fewer",
                    rank, ranks_.size(), message));
  else
    complain(fmt::format("{}{}: {}", agent ? "the agent (--agent) " : "", program, message));
}

/// Waits until something is to be done, and passes on output and signals.
void Supervisor::turn() {
  std::vector<pollfd> waiting;
  std::vector<Stream*> streams;
  waiting.push_back({.fd = signals_.get(), .events = POLLIN, .revents = 0});
  const std::array sinks = {&output_, &errors_};
  for (const Sink* sink : sinks)  // poll passes over -1
    waiting.push_back({.fd = sink->empty() ? -1 : sink->fd(), .events = POLLOUT, .revents = 0});
  const std::size_t before = waiting.size();
  for (Rank& rank : ranks_)
    for (auto* stream : rank.streams()) {
      if (!*stream || !(*stream)->wanted()) continue;
      waiting.push_back({.fd = (*stream)->fd(), .events = POLLIN, .revents = 0});
      streams.push_back(&**stream);
    }
  ::poll(waiting.data(), waiting.size(), wait_ms());
  for (std::size_t i = 0; i < sinks.size(); ++i)
    if (waiting[i + 1].revents != 0) write_to(*sinks[i]);
  for (std::size_t i = 0; i < streams.size(); ++i)
    if (waiting[before + i].revents != 0 && streams[i]->wanted()) pass_on(*streams[i]);
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info)
    take_signal(static_cast<int>(info.ssi_signo));
}

void Supervisor::pass_on(Stream& stream) {
  stream.read();
  write_to(stream.sink());
}

void Supervisor::write_to(Sink& sink) {
  sink.flush();
  if (!sink.closed() || ending_ != Ending::no) return;
  // As for a program that writes to a closed pipe itself.
  code_ = std::max(code_, kCodeSignal + SIGPIPE);
  end_all(SIGTERM);
}

bool Supervisor::output_left() {
  const auto is_open = [](const auto* stream) { return *stream && (*stream)->open(); };
  return !output_.empty() || !errors_.empty() || std::ranges::any_of(ranks_, [&](Rank& rank) {
    return std::ranges::any_of(rank.streams(), is_open);
  });
}

/// No rank is left. A job that has ended by itself, well or not, waits for whoever reads its output, who may
/// be a person with a pager; one that was told to end gives him a last grace, unless it was told twice.
void Supervisor::pass_on_rest() {
  const Clock& clock = real_clock();
  if (ending_ != Ending::no)
    next_step_ = asked_ == 0   ? give_up_
                 : asked_ == 1 ? Deadline::after(clock, std::max(options_.grace, kLeastGrace))
                               : Deadline::at(clock.now());
  while (output_left()) {
    turn();
    end_in_time();
    if (ending_ != Ending::no && next_step_.passed(clock)) return drop_output();
  }
}

void Supervisor::drop_output() {
  std::size_t bytes = 0;
  for (Rank& rank : ranks_)
    for (auto* stream : rank.streams())
      if (*stream) bytes += (*stream)->drop();
  bytes += output_.drop() + errors_.drop();
  if (bytes > 0) complain(fmt::format("{} bytes of output were not read in time and are lost", bytes));
}

void Supervisor::take_signal(int number) {
  if (number == SIGCHLD) return reap();
  const PassedOn* const signal = passed_on(number);
  if (signal == nullptr || !signal->ends) {
    for (Rank& rank : ranks_) send_signal(rank, number);
    if (number == SIGTSTP) ::raise(SIGSTOP);  // until the CONT that is passed on then
    return;
  }
  code_ = std::max(code_, kCodeSignal + number);
  ++asked_;
  if (ending_ == Ending::no)
    end_all(number);
  else if (running_ == 0 && asked_ == 1)
    next_step_ = Deadline::after(real_clock(), std::max(options_.grace, kLeastGrace));  // for the output
  else
    next_step_ = Deadline::at(real_clock().now());  // asked twice: no more grace
}

void Supervisor::reap() {
  for (std::uint32_t i = 0; i < ranks_.size(); ++i) {
    Rank& rank = ranks_[i];
    if (!rank.running) continue;
    const std::optional<End> end = end_of(rank.process.pid);
    if (!end) continue;
    ::kill(-rank.process.pid, SIGKILL);  // what it started and left behind
    janitor_.ended(rank.process.pid);
    ::waitpid(rank.process.pid, nullptr, 0);
    ended(i, *end);
  }
  reap_orphans();
}

/// Processes that a rank left to us, and that have ended.
void Supervisor::reap_orphans() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    const auto is_rank = [&](const Rank& rank) { return rank.running && rank.process.pid == info.si_pid; };
    if (std::ranges::any_of(ranks_, is_rank)) return;  // has ended just now, and its signal is still to come
    ::waitpid(info.si_pid, nullptr, 0);
  }
}

void Supervisor::ended(std::uint32_t number, const End& end) {
  Rank& rank = ranks_[number];
  rank.running = false;
  --running_;
  rank.process.input.reset();
  // Before what is said about its end, as far as it is taken; otherwise turn() goes on with it.
  for (auto* stream : rank.streams()) {
    (*stream)->rank_ended();
    while ((*stream)->wanted()) pass_on(**stream);
  }
  if (end.code == 0 || (ending_ != Ending::no && !rank.by_itself)) return;  // the others were asked to end
  code_ = std::max(code_, end.code);
  if (rank.kind == Kind::agent && end.code == kCodeAgentFailed)
    complain(fmt::format(
        "rank {} on {}: \"{}\" ended with 255: the host cannot be reached or refused (see above), or "
        "the program returned 255",
        number, rank.host, fmt::join(options_.agent, " ")));
  else if (end.signal != 0)
    complain(fmt::format("rank {}{}{} was ended by signal {} ({})", number, rank.host.empty() ? "" : " on ",
                         rank.host, end.signal, ::strsignal(end.signal)));  // NOLINT(concurrency-mt-unsafe)
  else
    complain(fmt::format("rank {}{}{} returned {}{}", number, rank.host.empty() ? "" : " on ", rank.host,
                         end.code,
                         rank.kind == Kind::agent && end.code > kCodeSignal
                             ? fmt::format(", or was ended by signal {}", end.code - kCodeSignal)
                             : ""));
  if (!options_.keep_going && ending_ == Ending::no) end_all(SIGTERM);
}

void Supervisor::send_signal(Rank& rank, int number) {
  if (!rank.running) return;
  if (rank.kind == Kind::rank) {
    ::kill(-rank.process.pid, number);
    return;
  }
  const std::string line =
      fmt::format("{}\n", passed_on(number) != nullptr ? passed_on(number)->word : "TERM");
  if (rank.process.input) (void)!::write(rank.process.input.get(), line.data(), line.size());
}

void Supervisor::end_all(int number) {
  for (Rank& rank : ranks_) rank.by_itself = rank.running && end_of(rank.process.pid).has_value();
  ending_ = Ending::asked;
  next_step_ = Deadline::after(real_clock(), options_.grace);
  for (Rank& rank : ranks_) send_signal(rank, number);
}

/// Ends the job when its time is over.
void Supervisor::end_in_time() {
  if (ending_ != Ending::no || !give_up_.passed(real_clock())) return;
  complain("the job took longer than --timeout; ending it");
  code_ = kCodeTimedOut;
  ++asked_;
  end_all(SIGTERM);
}

/// Goes from asking to killing.
void Supervisor::kill_in_time() {
  const Clock& clock = real_clock();
  if (ending_ == Ending::no || !next_step_.passed(clock)) return;
  for (Rank& rank : ranks_) {
    if (!rank.running) continue;
    // An agent kills what it runs when its input ends; one that does not even then is killed the next time.
    if (rank.kind == Kind::rank || ending_ == Ending::killed) ::kill(-rank.process.pid, SIGKILL);
    rank.process.input.reset();
  }
  ending_ = Ending::killed;
  next_step_ = Deadline::after(clock, std::max(options_.grace, kLeastGrace));
}

int Supervisor::wait_ms() const {
  const Deadline next = ending_ == Ending::no ? give_up_ : next_step_;
  if (next.is_never()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next.left(real_clock()));
  return static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30));
}

/// For whoever reads standard error; if nobody does, it is no reason to end the job.
void Supervisor::complain(const std::string& what) {
  errors_.add("holdfast-run: ", what);
  errors_.flush();
}

}  // namespace holdfast::run
