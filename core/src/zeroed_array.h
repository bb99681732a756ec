// Tables of this process's own: zeroed memory that costs pages only where it is touched.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string_view>
#include <type_traits>

#include "holdfast/base/result.h"

namespace holdfast {

struct Unmap {
  std::size_t bytes = 0;
  void operator()(void* memory) const noexcept { ::munmap(memory, bytes); }
};

/// Of a type for which all bits zero is a value, and that needs no destructor.
template <class T>
using ZeroedArray = std::unique_ptr<T[], Unmap>;

/// `what` names the table and what to do about its size. Errors: system (the kernel refuses the memory).
template <class T>
Result<ZeroedArray<T>> make_zeroed_array(std::size_t count, std::string_view operation,
                                         std::string_view what) {
  static_assert(std::is_trivially_destructible_v<T>);
  const std::size_t bytes = count * sizeof(T);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, operation, what);
  return ZeroedArray<T>(static_cast<T*>(memory), Unmap{bytes});
}

}  // namespace holdfast
