#include "src/socket_neighbours.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

#include "holdfast/base/log.h"
#include "holdfast/base/thread.h"
#include "holdfast/version.h"
#include "holdfast/why.h"
#include "src/descriptor_message.h"
#include "src/message.h"
#include "src/neighbour_socket.h"
#include "src/wire.h"

namespace holdfast {
namespace {

// Processes of this user that may be attached at once; far above the cores of any host.
constexpr std::size_t kMostReaders = 4096;
// Where no descriptors are left, or a neighbour has no place for one more who connects, before it is tried
// again.
constexpr Duration kPause = std::chrono::milliseconds(100);

}  // namespace

SocketNeighbours::SocketNeighbours(Identity identity, const numa::Arena& arena, const Ledger& ledger)
    : identity_(std::move(identity)),
      arena_(arena),
      ledger_(ledger),
      socket_name_(neighbour_socket_name(identity_.incarnation)) {}

Result<std::unique_ptr<SocketNeighbours>> SocketNeighbours::start(Identity identity, const numa::Arena& arena,
                                                                  const Ledger& ledger) {
  std::unique_ptr<SocketNeighbours> made(new SocketNeighbours(std::move(identity), arena, ledger));
  made->listener_ = File(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  made->wake_ = File(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made->listener_ || !made->wake_)
    return fail_errno(errno, "Neighbours::start", "cannot make a Unix socket");
  const AbstractAddress address(made->socket_name_);
  if (bind(made->listener_.get(), address.get(), address.length) != 0 ||
      listen(made->listener_.get(), SOMAXCONN) != 0)
    return fail_errno(errno, "Neighbours::start", "cannot listen on a Unix socket");
  HOLDFAST_TRY(made->thread_,
               start_thread("hf-neighbours", [neighbours = made.get()] { neighbours->serve(); }));
  return made;
}

SocketNeighbours::~SocketNeighbours() {
  stopping_.store(true, std::memory_order_release);
  eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void SocketNeighbours::serve() {
  std::vector<pollfd> waited;
  std::vector<View*> views;
  while (!stopping_.load(std::memory_order_acquire)) {
    const bool all_connected = begin_attempts();
    const auto pause = pause_left();
    const int patience = pause           ? static_cast<int>(pause->count())
                         : all_connected ? -1
                                         : static_cast<int>(kPause / std::chrono::milliseconds(1));
    // An entry of -1 is passed over.
    waited = {{wake_.get(), POLLIN, 0}, {pause ? -1 : listener_.get(), POLLIN, 0}};
    {
      const std::lock_guard lock(watched_mutex_);
      views = watched_;
    }
    for (const View* view : views) waited.push_back({view->connection.get(), POLLIN, 0});
    for (const Reader& reader : readers_)
      waited.push_back({pause && !reader.attached() ? -1 : reader.connection.get(), POLLIN, 0});
    for (const AttachAttempt& attempt : attempts_) waited.push_back({attempt.fd(), POLLIN, 0});
    if (poll(waited.data(), waited.size(), patience) < 0 && errno != EINTR) {
      log(LogLevel::error, fmt::format("cannot wait for neighbours any more: {}", std::strerror(errno)));
      return;
    }
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);

    std::size_t at = 2;
    for (View* view : views)
      if (waited[at++].revents != 0) note_lost(view);
    for (auto reader = readers_.begin(); reader != readers_.end();) {
      const bool keep = waited[at++].revents == 0 || serve_first(*reader);
      const std::unique_lock lock(readers_mutex_);
      reader = keep ? std::next(reader) : readers_.erase(reader);
    }
    for (auto attempt = attempts_.begin(); attempt != attempts_.end();) {
      const bool ended = waited[at++].revents != 0 && attempt->go_on(identity_.job, ledger_);
      attempt = ended ? attempts_.erase(attempt) : std::next(attempt);
    }
    if (waited[1].revents != 0) accept_one();
  }
}

/// An owner sends nothing after its greeting: whatever comes is its end.
void SocketNeighbours::note_lost(View* view) {
  view->lost.store(true, std::memory_order_release);
  lost_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(watched_mutex_);
  std::erase(watched_, view);
}

/// What is left of it, if there is one.
std::optional<std::chrono::milliseconds> SocketNeighbours::pause_left() {
  if (!paused_until_) return std::nullopt;
  const Duration left = *paused_until_ - real_clock().now();
  if (left > Duration::zero()) return std::chrono::ceil<std::chrono::milliseconds>(left);
  paused_until_.reset();
  return std::nullopt;
}

/// What waits to be accepted, or to be taken from a packet, stays, and stays readable: without a pause it
/// would be tried again and again.
void SocketNeighbours::pause(int error) {
  paused_until_ = real_clock().now() + kPause;
  if (std::exchange(told_of_pause_, true)) return;
  log(LogLevel::warning,
      fmt::format("processes on this host have to wait until they can map this one's memory: {}{}",
                  std::strerror(error), how_to_open_more(error)));
}

void SocketNeighbours::accept_one() {
  File connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
    return pause(errno);
  // Closing it is the answer: who is refused sees a hang-up.
  if (!connection || !is_same_user(connection.get()) || readers_.size() >= kMostReaders) return;
  const std::unique_lock lock(readers_mutex_);
  readers_.push_back({std::move(connection), {}});
}

/// The first packet says what is wanted. False when the connection is over.
bool SocketNeighbours::serve_first(Reader& reader) {
  if (reader.attached()) return false;  // it has nothing more to say: this is its end
  // A packet loses the descriptor that it brings where there is no room for it.
  File spare(fcntl(wake_.get(), F_DUPFD_CLOEXEC, 0));
  if (!spare) {
    pause(errno);
    return true;
  }
  spare.reset();
  const auto first = receive_descriptors(reader.connection.get());
  if (!first) return first.error().code == Code::timed_out;
  if (WireReader(first->bytes).get<std::uint64_t>() != kWhyMagic) return serve_hello(reader, *first);
  answer(reader, *first);
  return false;
}

void SocketNeighbours::answer(const Reader& reader, const DescriptorMessage& question) {
  WireReader in(question.bytes);
  in.get<std::uint64_t>();
  ObjectId id;
  id.high = in.get<std::uint64_t>();
  id.low = in.get<std::uint64_t>();
  if (!in.ok()) return;
  std::string text;
  {
    const std::lock_guard lock(watched_mutex_);
    if (answerer_) text = answerer_(id);
  }
  WireWriter out;
  out.put_text(fitting(text));
  (void)send_descriptors(reader.connection.get(), out.bytes(), {});  // who asked may have gone
}

bool SocketNeighbours::serve_hello(Reader& reader, const DescriptorMessage& hello) {
  if (hello.files.size() != 1) return false;
  WireReader in(hello.bytes);
  const bool meant_for_us = in.get<std::uint64_t>() == kHelloMagic &&
                            in.get<std::uint32_t>() == kProtocolVersion && in.get_text() == identity_.job &&
                            in.get<std::uint64_t>() == identity_.incarnation;
  const auto ledger_bytes = in.get<std::uint64_t>();
  if (!meant_for_us || !in.ok() || ledger_bytes < sizeof(LedgerMemory)) return false;
  auto ledger = numa::ReadOnlyMapping::map(hello.files.front(), ledger_bytes);
  if (!ledger) {
    log(LogLevel::warning, fmt::format("refused a neighbour: {}", ledger.error().message()));
    return false;
  }
  {
    const std::unique_lock lock(readers_mutex_);
    reader.ledger = std::move(*ledger);
  }
  WireWriter out;
  out.put(kHelloMagic);
  std::vector<int> descriptors;
  for (const numa::Segment& segment : arena_.segments()) {
    out.put(segment.bytes);
    descriptors.push_back(segment.fd);
  }
  return send_descriptors(reader.connection.get(), out.bytes(), descriptors).has_value();
}

void SocketNeighbours::attach(MemberId rank, const Card& card, Attached attached) {
  {
    const std::lock_guard lock(attempts_mutex_);
    new_attempts_.emplace_back(rank, card, std::move(attached));
  }
  eventfd_write(wake_.get(), 1);
}

/// Takes in those that are new, and tries again to connect where there was no place. False if there still is
/// none for some.
bool SocketNeighbours::begin_attempts() {
  {
    const std::lock_guard lock(attempts_mutex_);
    std::ranges::move(new_attempts_, std::back_inserter(attempts_));
    new_attempts_.clear();
  }
  bool all_connected = true;
  for (auto attempt = attempts_.begin(); attempt != attempts_.end();) {
    const bool ended = attempt->fd() < 0 && attempt->go_on(identity_.job, ledger_);
    all_connected = all_connected && (ended || attempt->fd() >= 0);
    attempt = ended ? attempts_.erase(attempt) : std::next(attempt);
  }
  return all_connected;
}

void SocketNeighbours::watch(View* view) {
  {
    const std::lock_guard lock(watched_mutex_);
    watched_.push_back(view);
  }
  eventfd_write(wake_.get(), 1);
}

bool SocketNeighbours::pinned(const PinnedBlock& block) const {
  if (ledger_pins(ledger_.shared(), ledger_.shared_bytes(), block)) return true;
  const std::shared_lock lock(readers_mutex_);
  return std::ranges::any_of(readers_, [&](const Reader& reader) {
    return reader.attached() && ledger_pins(reinterpret_cast<const LedgerMemory*>(reader.ledger.base()),
                                            reader.ledger.bytes(), block);
  });
}

std::vector<std::string> SocketNeighbours::pinning(const PinnedBlock& block) const {
  std::vector<std::string> processes;
  const auto look = [&](const LedgerMemory* ledger, std::uint64_t bytes, const std::string& process) {
    std::vector<std::uint64_t> pins;
    ledger_pins_of(ledger, bytes, block.owner, pins);
    const auto times = std::ranges::count(pins, block.location);
    if (times > 0) processes.push_back(fmt::format("{}, {} times", process, times));
  };
  look(ledger_.shared(), ledger_.shared_bytes(), fmt::format("process {}, its owner's", getpid()));
  const std::shared_lock lock(readers_mutex_);
  for (const Reader& reader : readers_)
    if (reader.attached())
      look(reinterpret_cast<const LedgerMemory*>(reader.ledger.base()), reader.ledger.bytes(),
           fmt::format("process {}", peer_of(reader.connection.get()).pid));
  return processes;
}

void SocketNeighbours::set_answerer(std::function<std::string(const ObjectId&)> answerer) {
  const std::lock_guard lock(watched_mutex_);
  answerer_ = std::move(answerer);
}

Result<std::string> why(const ObjectId& id, Duration timeout) {
  constexpr std::string_view kOperation = "why";
  const File connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!connection) return fail_errno(errno, kOperation, "cannot make a Unix socket");
  const AbstractAddress address(neighbour_socket_name(id.high));
  const auto lost = [&] {
    return fail(
        Code::owner_lost, kOperation,
        fmt::format("no member of this user on this host has made object {}, or it has ended; ask on its "
                    "owner's host while the job runs",
                    id.to_hex()));
  };
  if (connect(connection.get(), address.get(), address.length) != 0) return lost();
  WireWriter question;
  question.put(kWhyMagic);
  question.put(id.high);
  question.put(id.low);
  HOLDFAST_DO(send_descriptors(connection.get(), question.bytes(), {}));
  const auto answer = receive_descriptors(connection.get(), Deadline::after(real_clock(), timeout));
  if (!answer && answer.error().code == Code::timed_out)
    return fail(Code::timed_out, kOperation, "the object's owner did not answer; is it stopped?");
  if (!answer) return lost();
  WireReader in(answer->bytes);
  std::string text = in.get_text();
  if (!in.ok() || text.empty()) return lost();
  return text;
}

std::vector<std::uint64_t> SocketNeighbours::pinned_locations(MemberId owner) const {
  std::vector<std::uint64_t> found;
  ledger_pins_of(ledger_.shared(), ledger_.shared_bytes(), owner, found);
  const std::shared_lock lock(readers_mutex_);
  for (const Reader& reader : readers_)
    if (reader.attached())
      ledger_pins_of(reinterpret_cast<const LedgerMemory*>(reader.ledger.base()), reader.ledger.bytes(),
                     owner, found);
  std::ranges::sort(found);
  return found;
}

}  // namespace holdfast
