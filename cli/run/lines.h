// Output of ranks, a whole line at a time.
#pragma once

#include <string>
#include <string_view>

#include "cli/run/sink.h"

namespace holdfast::run {

/// Cuts one stream of one rank into lines and adds each, with its prefix, to what is to be written.
class Lines {
 public:
  /// `sink` stays the caller's, and outlives this.
  Lines(Sink& sink, std::string prefix) : sink_(sink), prefix_(std::move(prefix)) {}

  /// Takes what the rank wrote and passes on the lines that are complete.
  void add(std::string_view bytes);
  /// Passes on the last line if it was not ended, with an end.
  void finish();

 private:
  Sink& sink_;
  std::string prefix_;
  std::string partial_;
};

}  // namespace holdfast::run
