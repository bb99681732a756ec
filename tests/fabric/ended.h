// A Completion for tests.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "holdfast/fabric/fabric.h"

namespace holdfast::fabric::test {

/// A completion that remembers how often it was called, and with what.
class Ended final : public Completion {
 public:
  void complete(Status status) override {
    ++calls;
    status_ = std::move(status);
    if (then) then();
  }
  bool ended() const { return calls > 0; }
  bool ok() const { return calls == 1 && status_.has_value(); }
  /// The code it ended with; only after an error.
  Code code() const { return status_.error().code; }
  std::string message() const { return status_ ? "ok" : status_.error().message(); }

  int calls = 0;
  std::function<void()> then;

 private:
  Status status_;
};

}  // namespace holdfast::fabric::test
