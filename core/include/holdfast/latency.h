// How long something took, counted by powers of two.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "holdfast/base/clock.h"

namespace holdfast {

struct LatencyHistogram {
  /// Element i counts what took from 2^i to 2^(i+1) ns (the first one also less, the last one also more).
  static constexpr std::size_t kBuckets = 42;
  std::array<std::uint64_t, kBuckets> buckets{};
  std::uint64_t count = 0;
  std::uint64_t sum_ns = 0;

  void add(Duration took) noexcept {
    const std::uint64_t ns = took.count() > 0 ? static_cast<std::uint64_t>(took.count()) : 0;
    ++buckets[bucket_of(ns)];
    ++count;
    sum_ns += ns;
  }
  static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
    const auto bits = static_cast<std::size_t>(std::bit_width(ns));
    return bits == 0 ? 0 : bits - 1 < kBuckets ? bits - 1 : kBuckets - 1;
  }

  /// What a share of them, 0 to 1, did not exceed: an upper bound, at most twice too large. 0 without any.
  Duration quantile(double share) const noexcept {
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets[i];
      if (seen > 0 && static_cast<double>(seen) >= share * static_cast<double>(count))
        return Duration(std::int64_t{2} << i);
    }
    return Duration::zero();
  }
  Duration mean() const noexcept {
    return Duration(count == 0 ? 0 : static_cast<std::int64_t>(sum_ns / count));
  }
};

}  // namespace holdfast
