#include "holdfast/base/checksum.h"

#include <isa-l/crc64.h>

#include <cstring>

#include "holdfast/base/check.h"

namespace holdfast {
namespace {
// Small enough to stay in a core's second-level cache between the copy and the checksum.
constexpr std::size_t kPiece = 64 * 1024;
}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return crc64_ecma_refl(seed, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

std::uint64_t copy_and_checksum(std::span<std::byte> to, std::span<const std::byte> from) noexcept {
  HOLDFAST_CHECK(to.size() == from.size(), "copy_and_checksum needs equal sizes");
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < from.size(); at += kPiece) {
    const std::size_t n = from.size() - at < kPiece ? from.size() - at : kPiece;
    std::memcpy(to.data() + at, from.data() + at, n);
    sum = checksum(to.subspan(at, n), sum);
  }
  return sum;
}

}  // namespace holdfast
