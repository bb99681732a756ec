// Small numbers for threads, to spread them over tables that they then need not contend for.
#pragma once

#include <atomic>
#include <cstdint>

namespace holdfast {

/// The calling thread's number: 0, 1, 2, ... in the order of their first call.
inline std::uint32_t thread_index() noexcept {
  static std::atomic<std::uint32_t> seen{0};
  thread_local const std::uint32_t index = seen.fetch_add(1, std::memory_order_relaxed);
  return index;
}

}  // namespace holdfast
