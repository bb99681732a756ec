// ReadOnlyMapping and SharedRegion: the reading side of an arena, and small regions beside it.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "holdfast/numa/arena.h"
#include "sealed_memory.h"

namespace holdfast::numa {

Result<ReadOnlyMapping> ReadOnlyMapping::map(const File& file, std::uint64_t bytes) {
  constexpr std::string_view kOperation = "ReadOnlyMapping::map";
  if (bytes == 0) return fail(Code::invalid, kOperation, "0 bytes cannot be mapped");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail_errno(errno, kOperation, "fstat");
  // Reading behind the end would be SIGBUS; the owner's seals keep the size from changing afterwards.
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) < bytes) {
    return fail(Code::invalid, kOperation,
                "the descriptor has " + format_bytes(static_cast<std::uint64_t>(status.st_size)) +
                    ", not the " + format_bytes(bytes) + " that its owner named");
  }
  // Of huge pages only whole ones can be unmapped; the block size of their file is the page size.
  const auto page = static_cast<std::uint64_t>(status.st_blksize);
  const std::uint64_t mapped = align_up(bytes, page);
  HOLDFAST_TRY(Mapping memory, map_aligned(file.get(), mapped, segment_alignment(mapped, page), PROT_READ));
  ::madvise(memory.base(), mapped, MADV_DONTDUMP);
  ReadOnlyMapping mapping;
  mapping.base_ = memory.release();
  mapping.bytes_ = bytes;
  mapping.mapped_ = mapped;
  return mapping;
}

ReadOnlyMapping::ReadOnlyMapping(ReadOnlyMapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

ReadOnlyMapping& ReadOnlyMapping::operator=(ReadOnlyMapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

ReadOnlyMapping::~ReadOnlyMapping() {
  if (base_ != nullptr) ::munmap(const_cast<std::byte*>(base_), mapped_);
}

Result<SharedRegion> SharedRegion::create(std::string_view name, std::uint64_t bytes) {
  constexpr std::string_view kOperation = "SharedRegion::create";
  // The kernel's bound on a memfd's name, less its own prefix.
  constexpr std::size_t kLongestName = 249;
  if (bytes == 0) return fail(Code::invalid, kOperation, "0 bytes cannot be shared");
  if (bytes > (1ULL << 62))
    return fail(Code::invalid, kOperation, format_bytes(bytes) + " is beyond any machine");
  SealedMemoryOptions options;
  options.name = std::string(name.substr(0, kLongestName));
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  options.bytes = align_up(bytes, page);
  options.alignment = page;
  auto memory = make_sealed_memory(options);
  if (!memory) {
    memory.error().operation = kOperation;
    return tl::unexpected(std::move(memory).error());
  }
  SharedRegion region;
  region.file_ = std::move(memory->file);
  region.base_ = memory->mapping.release();
  region.bytes_ = options.bytes;
  return region;
}

SharedRegion::SharedRegion(SharedRegion&& other) noexcept
    : file_(std::move(other.file_)),
      base_(std::exchange(other.base_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

SharedRegion& SharedRegion::operator=(SharedRegion&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SharedRegion::~SharedRegion() {
  if (base_ != nullptr) ::munmap(base_, bytes_);
}

}  // namespace holdfast::numa
