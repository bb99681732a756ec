#include "sealed_memory.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include <bit>
#include <cerrno>
#include <utility>

#include "holdfast/base/units.h"

// Known to the kernel before Debian 12's C library knows it (Linux 6.3).
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace holdfast::numa {
namespace {

constexpr std::string_view kOperation = "shared memory";

/// What others holding the descriptor must not do. No more seals, either: a reader could otherwise add
/// F_SEAL_WRITE as soon as the owner has unmapped.
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

File create_memfd(const SealedMemoryOptions& options) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (options.huge_page_bytes != 0) {
    flags |= MFD_HUGETLB | static_cast<unsigned>(std::countr_zero(options.huge_page_bytes)) << MFD_HUGE_SHIFT;
  }
  // Newer kernels warn about, or forbid, a memfd that could be executed; older ones do not know the flag.
  const int fd = ::memfd_create(options.name.c_str(), flags | MFD_NOEXEC_SEAL);
  if (fd >= 0 || errno != EINVAL) return File(fd);
  return File(::memfd_create(options.name.c_str(), flags));
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    base_ = std::exchange(other.base_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void Mapping::reset() noexcept {
  if (base_ != nullptr) ::munmap(base_, bytes_);
  base_ = nullptr;
  bytes_ = 0;
}

std::byte* Mapping::release() noexcept {
  bytes_ = 0;
  return std::exchange(base_, nullptr);
}

Result<Mapping> map_aligned(int fd, std::uint64_t bytes, std::uint64_t alignment, int protection) {
  const std::uint64_t reserved = bytes + alignment;
  void* const range =
      ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED)
    return fail_errno(errno, kOperation, "mmap of " + format_bytes(reserved) + " of addresses");
  auto* const start = static_cast<std::byte*>(range);
  const auto address = reinterpret_cast<std::uintptr_t>(range);
  auto* const base = start + (align_up(address, alignment) - address);
  if (::mmap(base, bytes, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
    const int error = errno;
    ::munmap(range, reserved);
    return fail_errno(error, kOperation, "mmap of " + format_bytes(bytes));
  }
  if (base != start) ::munmap(start, static_cast<std::size_t>(base - start));
  std::byte* const end = start + reserved;
  if (base + bytes != end) ::munmap(base + bytes, static_cast<std::size_t>(end - (base + bytes)));
  return Mapping(base, bytes);
}

Result<SealedMemory> make_sealed_memory(const SealedMemoryOptions& options) {
  SealedMemory memory;
  memory.file = create_memfd(options);
  const int fd = memory.file.get();
  if (fd < 0) return fail_errno(errno, kOperation, "memfd_create");
  if (::ftruncate(fd, static_cast<off_t>(options.bytes)) != 0) {
    return fail_errno(errno, kOperation, "memfd of " + format_bytes(options.bytes));
  }
  HOLDFAST_TRY(memory.mapping, map_aligned(fd, options.bytes, options.alignment, PROT_READ | PROT_WRITE));
  // After mapping: the seal spares mappings that exist.
  if (::fcntl(fd, F_ADD_SEALS, kSeals) != 0) {
    return fail_errno(errno, kOperation, "sealing a memfd against writers (needs Linux 5.1)");
  }
  // A core file of all arenas of a job would fill the file system.
  ::madvise(memory.mapping.base(), options.bytes, MADV_DONTDUMP);
  return memory;
}

}  // namespace holdfast::numa
