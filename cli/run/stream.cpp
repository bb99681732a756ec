#include "cli/run/stream.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace holdfast::run {
namespace {
/// What is read of one stream before the others have their turn.
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
}  // namespace

void Stream::read() {
  std::array<char, kReadBytes> piece;  // NOLINT: written before it is read
  const ssize_t n = ::read(pipe_.get(), piece.data(), std::min(left_.value_or(kReadBytes), kReadBytes));
  if (n < 0 && (errno == EINTR || (errno == EAGAIN && !left_))) return;
  if (n <= 0) return end();
  const auto bytes = static_cast<std::size_t>(n);
  lines_.add({piece.data(), bytes});
  if (left_ && (*left_ -= bytes) == 0) end();
}

void Stream::rank_ended() {
  if (!open()) return;
  left_ = bytes_in_pipe();
  if (*left_ == 0) end();
}

std::size_t Stream::drop() {
  if (!open()) return 0;
  const std::size_t bytes = left_.value_or(bytes_in_pipe());
  end();
  return bytes;
}

std::size_t Stream::bytes_in_pipe() const noexcept {
  int bytes = 0;
  return ::ioctl(pipe_.get(), FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

void Stream::end() {
  lines_.finish();
  pipe_.reset();
}

}  // namespace holdfast::run
