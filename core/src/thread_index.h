// Small numbers for threads, to spread them over tables that they then need not contend for.
#pragma once

#include <cstdint>

namespace holdfast {

namespace detail {
inline constexpr std::uint32_t kNoThreadIndex = UINT32_MAX;
/// Nothing is to be destroyed of it, so it can be read until the thread is gone.
inline constinit thread_local std::uint32_t this_thread_index = kNoThreadIndex;
std::uint32_t take_thread_index() noexcept;
}  // namespace detail

/// What a thread gets that runs destructors of thread_local objects after its number has been given back;
/// several may have it.
inline constexpr std::uint32_t kEndingThread = UINT32_MAX - 1;

/// The calling thread's number: the smallest that no other thread has. Taken with the first call and given
/// back when the thread ends; who has it next sees all that it wrote before.
inline std::uint32_t thread_index() noexcept {
  const std::uint32_t index = detail::this_thread_index;
  return index != detail::kNoThreadIndex ? index : detail::take_thread_index();
}

}  // namespace holdfast
