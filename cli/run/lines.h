// Output of ranks, a whole line at a time.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::run {

/// Cuts one stream of one rank into lines and writes each, with its prefix, in one piece.
class Lines {
 public:
  /// `fd` stays the caller's.
  Lines(int fd, std::string prefix) : fd_(fd), prefix_(std::move(prefix)) {}

  /// Takes what the rank wrote and passes on the lines that are complete. False: nobody reads our output any
  /// more.
  bool add(std::string_view bytes);
  /// Passes on the last line if it was not ended, with an end.
  bool finish();

 private:
  bool write_line(std::string_view line);

  int fd_;
  std::string prefix_;
  std::string partial_;
};

}  // namespace holdfast::run
