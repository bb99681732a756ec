// holdfast-run's own standard output and error, written without ever waiting for whoever reads them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "holdfast/base/file.h"

namespace holdfast::run {

/// Keeps lines until they are taken. Others may share the file behind the descriptor, so its flags stay as
/// they are: a pipe or a terminal is opened a second time to be written without waiting.
class Sink {
 public:
  /// `fd` stays the caller's.
  explicit Sink(int fd);
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  /// Adds `prefix`, `line` and an end of line. However much is waiting: it is the caller who stops when
  /// full().
  void add(std::string_view prefix, std::string_view line);
  /// Writes what is taken at once. A line comes in one piece, as far as the file behind takes it so: lines up
  /// to PIPE_BUF are not mixed with what others write to the same pipe.
  void flush();
  /// Forgets what was not taken. Returns its bytes.
  std::size_t drop() noexcept;

  bool empty() const noexcept { return written_ == pending_.size(); }
  /// So much is waiting that no more should be added until some of it was taken.
  bool full() const noexcept { return pending_.size() - written_ >= kMostPending; }
  /// Nobody takes anything any more: what is added is forgotten.
  bool closed() const noexcept { return closed_; }
  /// To be polled for POLLOUT while not empty().
  int fd() const noexcept { return own_ ? own_.get() : fd_; }

 private:
  /// A burst of a few ranks; what is read of one stream at a time, with its prefixes, comes on top.
  static constexpr std::size_t kMostPending = std::size_t{256} * 1024;

  std::string_view next_piece() const noexcept;
  bool has_room() const noexcept;

  int fd_;
  File own_;                ///< the same file, opened for ourselves
  bool is_socket_ = false;  ///< which cannot be opened again, but asked not to wait
  /// Not 0: it could not be opened again. No more is written at once, and only when there is room.
  std::size_t at_once_ = 0;
  bool closed_ = false;
  std::string pending_;  ///< whole lines, but for what of the first is written
  std::size_t written_ = 0;
};

/// Whether both descriptors write to one pipe, socket or terminal.
bool are_one(int fd, int other) noexcept;

}  // namespace holdfast::run
