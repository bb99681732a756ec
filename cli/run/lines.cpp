#include "cli/run/lines.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast::run {
namespace {
/// A line longer than this is passed on in parts, so that output without line ends cannot take all memory.
constexpr std::size_t kLongestLine = 1 << 20;
}  // namespace

bool Lines::add(std::string_view bytes) {
  bool open = true;
  for (;;) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) break;
    partial_ += bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    open = write_line(partial_) && open;
    partial_.clear();
  }
  partial_ += bytes;
  if (partial_.size() >= kLongestLine) open = finish() && open;
  return open;
}

bool Lines::finish() {
  if (partial_.empty()) return true;
  const bool open = write_line(partial_);
  partial_.clear();
  return open;
}

bool Lines::write_line(std::string_view line) {
  std::string text;
  text.reserve(prefix_.size() + line.size() + 1);
  text += prefix_;
  text += line;
  text += '\n';
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      pollfd room{
          .fd = fd_, .events = POLLOUT, .revents = 0};  // whoever shares our output made it non-blocking
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace holdfast::run
