// Anonymous memory with a descriptor (memfd) that its creator maps for writing, and that nobody else can
// write, shrink or grow, whoever holds the descriptor.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "holdfast/base/file.h"
#include "holdfast/base/result.h"
#include "holdfast/base/units.h"

namespace holdfast::numa {

/// A mapping that unmaps itself.
class Mapping {
 public:
  Mapping() = default;
  Mapping(std::byte* base, std::uint64_t bytes) noexcept : base_(base), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { reset(); }

  std::byte* base() const noexcept { return base_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  void reset() noexcept;
  /// Hands the mapping over to the caller, who unmaps it.
  std::byte* release() noexcept;

 private:
  std::byte* base_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// Maps a file at an address that is a multiple of `alignment`: takes a range of addresses large enough to
/// hold one, puts the file there and gives back what is left on both sides. `protection`: as of mmap. Errors:
/// system or denied, with the kernel's reason.
Result<Mapping> map_aligned(int fd, std::uint64_t bytes, std::uint64_t alignment, int protection);

/// How segments of this size are aligned in every process that maps them: large alignments within a segment
/// then hold for addresses, too. `page`: the size of its pages.
constexpr std::uint64_t segment_alignment(std::uint64_t bytes, std::uint64_t page) noexcept {
  return std::max(page, bytes >= 1_GiB ? 1_GiB : bytes >= 2_MiB ? 2_MiB : page);
}

struct SealedMemory {
  File file;
  Mapping mapping;
};

/// `huge_page_bytes`: 0 for base pages. `alignment`: of the address, a power of two, at least the page size.
struct SealedMemoryOptions {
  std::string name = "holdfast";  ///< shows in /proc/PID/maps
  std::uint64_t bytes = 0;        ///< a multiple of the page size, not 0
  std::uint64_t huge_page_bytes = 0;
  std::uint64_t alignment = 4096;
};

/// Zeroed memory, no page touched yet; huge pages are reserved, machine-wide, or the call fails. After it
/// the descriptor can be mapped by others for reading only (F_SEAL_FUTURE_WRITE, Linux 5.1) and its size is
/// fixed, so no reader meets SIGBUS. Kept out of core dumps, not copied by fork (a child shares it).
/// Errors: system or denied, with the kernel's reason; the detail names the call.
Result<SealedMemory> make_sealed_memory(const SealedMemoryOptions& options);

}  // namespace holdfast::numa
