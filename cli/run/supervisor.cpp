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

/// What is read of one stream before the others have their turn.
constexpr std::size_t kReadBytes = 64 * 1024;
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
    : options_(options), job_(job), janitor_(janitor), inherited_(inherited), ranks_(options.ranks) {
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
  watch();
  if (adopts) end_orphans(janitor_.pid());
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
    rank.output.emplace(STDOUT_FILENO, prefix);
    rank.errors.emplace(STDERR_FILENO, prefix);
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

/// Passes on output and signals until no rank is left.
void Supervisor::watch() {
  std::vector<pollfd> waiting;
  std::vector<std::pair<File*, Lines*>> streams;
  while (running_ > 0) {
    waiting.assign(1, {.fd = signals_.get(), .events = POLLIN, .revents = 0});
    streams.clear();
    for (Rank& rank : ranks_) {
      for (auto [file, lines] :
           {std::pair{&rank.process.output, &rank.output}, {&rank.process.errors, &rank.errors}}) {
        if (!*file) continue;
        waiting.push_back({.fd = file->get(), .events = POLLIN, .revents = 0});
        streams.emplace_back(file, &**lines);
      }
    }
    ::poll(waiting.data(), waiting.size(), wait_ms());
    for (std::size_t i = 0; i < streams.size(); ++i)
      if (waiting[i + 1].revents != 0) read_from(*streams[i].first, *streams[i].second);
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info)
      take_signal(static_cast<int>(info.ssi_signo));
    step_ending();
  }
}

void Supervisor::read_from(File& stream, Lines& lines) {
  std::array<char, kReadBytes> piece;  // NOLINT: written before it is read
  const ssize_t n = ::read(stream.get(), piece.data(), piece.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  const bool open = n > 0 ? lines.add({piece.data(), static_cast<std::size_t>(n)}) : lines.finish();
  if (n <= 0) stream.reset();
  if (open || ending_ != Ending::no) return;
  // As for a program that writes to a closed pipe itself.
  code_ = std::max(code_, kCodeSignal + SIGPIPE);
  end_all(SIGTERM);
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
  if (ending_ == Ending::no)
    end_all(number);
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
  // What is in the pipes now is all there is, unless a process that has left the group still writes; it is
  // not waited for.
  for (auto [file, lines] :
       {std::pair{&rank.process.output, &rank.output}, {&rank.process.errors, &rank.errors}}) {
    std::size_t before = 0;
    while (*file && before < (std::size_t{1} << 20)) {
      pollfd ready{.fd = file->get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, 0) <= 0) break;
      read_from(*file, **lines);
      before += kReadBytes;
    }
    (*lines)->finish();
    file->reset();
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

/// Ends the job when its time is over, and goes from asking to killing.
void Supervisor::step_ending() {
  const Clock& clock = real_clock();
  if (ending_ == Ending::no && give_up_.passed(clock)) {
    complain("the job took longer than --timeout; ending it");
    code_ = kCodeTimedOut;
    end_all(SIGTERM);
  }
  if (ending_ == Ending::no || !next_step_.passed(clock)) return;
  for (Rank& rank : ranks_) {
    if (!rank.running) continue;
    // An agent kills what it runs when its input ends; one that does not even then is killed the next time.
    if (rank.kind == Kind::rank || ending_ == Ending::killed) ::kill(-rank.process.pid, SIGKILL);
    rank.process.input.reset();
  }
  ending_ = Ending::killed;
  next_step_ = Deadline::after(clock, std::max<Duration>(options_.grace, std::chrono::seconds(1)));
}

int Supervisor::wait_ms() const {
  const Deadline next = ending_ == Ending::no ? give_up_ : next_step_;
  if (next.is_never()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next.left(real_clock()));
  return static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30));
}

void Supervisor::complain(const std::string& what) const { fmt::print(stderr, "holdfast-run: {}\n", what); }

}  // namespace holdfast::run
