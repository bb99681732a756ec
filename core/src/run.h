// Running protocols for threads that wait.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <variant>

#include "src/member.h"

namespace holdfast {

/// How long to spin for a reply or a transfer before sleeping: a round trip, and what the bytes take at a
/// rate that slow fabrics reach; never long enough to starve the peer on a host with few cores.
inline Duration spin_for(std::uint64_t bytes) {
  constexpr Duration kRoundTrip = std::chrono::microseconds(50);
  constexpr std::uint64_t kBytesPerMicrosecond = 1024;
  constexpr Duration kMost = std::chrono::milliseconds(100);
  return std::min(kMost, kRoundTrip + std::chrono::microseconds(bytes / kBytesPerMicrosecond));
}

template <class T, class Start>
Result<T> Member::run(std::uint64_t bytes, Start start) {
  HOLDFAST_TRY(Lane* const lane, lanes_->mine());
  std::optional<Result<T>> result;
  lane->run([&](Channel& channel) {
    start(channel, [&result](Result<T> value) { result.emplace(std::move(value)); });
  });
  // Every protocol ends by its own deadline.
  lane->drive([&] { return result.has_value(); }, Deadline::never(), spin_for(bytes));
  return std::move(*result);
}

template <class Start>
Status Member::run(Start start) {
  const auto ended = run<std::monostate>(0, [&](Channel& channel, auto done) {
    spawn(start(channel), [done](Status status) {
      done(status ? Result<std::monostate>() : tl::unexpected(std::move(status).error()));
    });
  });
  return ended ? Status() : tl::unexpected(ended.error());
}

}  // namespace holdfast
