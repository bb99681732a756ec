#include "holdfast/base/checksum.h"

#include "holdfast/base/check.h"
#include "src/checksum_kernel.h"

namespace holdfast {
namespace {

const ChecksumKernel& choose() noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") != 0 && avx2_checksum_kernel() != nullptr)
    return *avx2_checksum_kernel();
#endif
  return kKernel;
}

// Chosen when the library is loaded, so that a call costs no look at a guard.
const ChecksumKernel& kernel = choose();

}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return kernel.sum(bytes.data(), bytes.size(), seed);
}

std::uint64_t copy_and_checksum(std::span<std::byte> to, std::span<const std::byte> from, CopyMode mode,
                                std::uint64_t seed) noexcept {
  HOLDFAST_CHECK(to.size() == from.size(), "a copy needs equal sizes");
  return kernel.copy_and_sum(to.data(), from.data(), from.size(), mode, seed);
}

void copy_bytes(std::span<std::byte> to, std::span<const std::byte> from, CopyMode mode) noexcept {
  HOLDFAST_CHECK(to.size() == from.size(), "a copy needs equal sizes");
  kernel.copy(to.data(), from.data(), from.size(), mode);
}

}  // namespace holdfast
