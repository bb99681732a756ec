#include "cli/run/sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>

namespace holdfast::run {
namespace {
/// What a terminal that poll() says has room takes, as good as always, without keeping the writer waiting.
/// (There is no amount that it promises, as a pipe promises PIPE_BUF.)
constexpr std::size_t kTerminalRoom = 64;
}  // namespace

Sink::Sink(int fd) : fd_(fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return;  // the first write will say so
  is_socket_ = S_ISSOCK(status.st_mode);
  const bool is_pipe = S_ISFIFO(status.st_mode);
  if (!is_pipe && ::isatty(fd) == 0) return;  // files do not wait for a reader
  own_ =
      File(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!own_) at_once_ = is_pipe ? PIPE_BUF : kTerminalRoom;  // another user's, after su, or no /proc
}

void Sink::add(std::string_view prefix, std::string_view line) {
  if (closed_) return;
  pending_ += prefix;
  pending_ += line;
  pending_ += '\n';
}

void Sink::flush() {
  while (!empty() && (at_once_ == 0 || has_room())) {
    const std::string_view piece = next_piece();
    const ssize_t n = is_socket_ ? ::send(fd(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                 : ::write(fd(), piece.data(), piece.size());
    if (n > 0) {
      written_ += static_cast<std::size_t>(n);
    } else if (n == 0 || errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      closed_ = true;
      drop();
    }
  }
  pending_.erase(0, std::exchange(written_, 0));
}

std::size_t Sink::drop() noexcept {
  const std::size_t bytes = pending_.size() - written_;
  pending_.clear();
  written_ = 0;
  return bytes;
}

/// Whole lines that a pipe takes together or not at all, or one longer line.
std::string_view Sink::next_piece() const noexcept {
  const std::string_view rest = std::string_view(pending_).substr(written_);
  const std::size_t together = at_once_ != 0 ? at_once_ : PIPE_BUF;
  if (rest.size() <= together) return rest;
  if (const auto end = rest.rfind('\n', together - 1); end != std::string_view::npos)
    return rest.substr(0, end + 1);
  return rest.substr(0, at_once_ != 0 ? at_once_ : rest.find('\n') + 1);
}

bool Sink::has_room() const noexcept {
  pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
  return ::poll(&room, 1, 0) > 0;
}

bool are_one(int fd, int other) noexcept {
  struct stat one {};
  struct stat two {};
  if (::fstat(fd, &one) != 0 || ::fstat(other, &two) != 0) return false;
  // Files take each write as a whole, and may be open twice, at different places.
  return !S_ISREG(one.st_mode) && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

}  // namespace holdfast::run
