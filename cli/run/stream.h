// One of the two outputs of a rank, on its way to holdfast-run's own.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cli/run/lines.h"
#include "cli/run/sink.h"
#include "holdfast/base/file.h"

namespace holdfast::run {

class Stream {
 public:
  /// `pipe` does not block. `sink` stays the caller's, and outlives this.
  Stream(File pipe, Sink& sink, std::string prefix)
      : pipe_(std::move(pipe)), sink_(sink), lines_(sink, std::move(prefix)) {}

  bool open() const noexcept { return bool{pipe_}; }
  /// Whether more should be read: not while the sink is full, so that the rank waits instead.
  bool wanted() const noexcept { return open() && !sink_.full(); }
  int fd() const noexcept { return pipe_.get(); }
  Sink& sink() const noexcept { return sink_; }

  /// Reads a piece of what the rank wrote, and adds its lines to the sink.
  void read();
  /// The rank has ended: what is in the pipe now is all there is, unless a process that has left its group
  /// still writes; it is not waited for.
  void rank_ended();
  /// Closes it; a line that was not ended goes to the sink. Returns the bytes that are left in the pipe.
  std::size_t drop();

 private:
  std::size_t bytes_in_pipe() const noexcept;
  void end();

  File pipe_;
  Sink& sink_;
  Lines lines_;
  std::optional<std::size_t> left_;  ///< to be read, once the rank has ended
};

}  // namespace holdfast::run
