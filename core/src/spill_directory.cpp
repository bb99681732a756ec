#include "src/spill_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <utility>

#include "holdfast/base/checksum.h"
#include "src/disk.h"

namespace holdfast {
namespace {

constexpr std::string_view kPrefix = "holdfast-";
constexpr std::string_view kSuffix = ".spill";
constexpr std::size_t kLongestName = 128;

/// Start time of a process: field 22 of /proc/PID/stat. 0 where there is no such process; nothing where that
/// cannot be seen.
std::optional<std::uint64_t> start_time(std::uint64_t process) {
  const std::string path = fmt::format("/proc/{}/stat", process);
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno == ENOENT ? std::optional<std::uint64_t>(0) : std::nullopt;
  std::array<char, 1024> text;
  const ssize_t bytes = ::read(file.get(), text.data(), text.size());
  if (bytes < 0) return errno == ESRCH ? std::optional<std::uint64_t>(0) : std::nullopt;
  std::string_view rest(text.data(), static_cast<std::size_t>(bytes));
  // The second field, the program's name, may hold anything; it ends with the last parenthesis.
  const std::size_t name_end = rest.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(name_end + 1);
  // A process that has ended and was not waited for has closed all its files.
  if (rest.starts_with(" Z") || rest.starts_with(" X")) return 0;
  for (int field = 2; field < 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  std::uint64_t ticks = 0;
  if (std::from_chars(rest.data(), rest.data() + rest.size(), ticks).ec != std::errc()) return std::nullopt;
  return ticks;
}

Error name_directory(const std::string& path, int error_number, std::string_view fix) {
  Error error = disk_error(error_number, "open the spill directory", path);
  error.detail += fmt::format("; {}", fix);
  return error;
}

/// By its name, which lasts longer than a start of the machine. 0 where it has none.
std::uint64_t this_host() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == 0) return 0;
  return checksum(std::as_bytes(std::span(name.data(), std::string_view(name.data()).size())));
}

/// Room for the file's bytes, now; where the file system cannot, its length alone.
int preallocate(int file, std::uint64_t bytes) {
  for (;;) {
    if (::fallocate(file, 0, 0, static_cast<off_t>(bytes)) == 0) return 0;
    if (errno == EINTR) continue;
    if (errno != EOPNOTSUPP) return errno;
    return ::ftruncate(file, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
  }
}

}  // namespace

std::string SpillFileName::text() const {
  const std::string at_host = host == 0 ? "" : fmt::format("@{:x}", host);
  return fmt::format("{}{}-{}-{}-{}{}{}", kPrefix, user, process, started, number, at_host, kSuffix);
}

std::optional<SpillFileName> SpillFileName::parse(std::string_view name) {
  if (name.size() > kLongestName || !name.starts_with(kPrefix) || !name.ends_with(kSuffix))
    return std::nullopt;
  SpillFileName out;
  const char* at = name.data() + kPrefix.size();
  const char* const end = name.data() + name.size();
  for (std::uint64_t* const field : {&out.user, &out.process, &out.started, &out.number}) {
    const auto [after, error] = std::from_chars(at, end, *field);
    if (error != std::errc()) return std::nullopt;
    at = after == end ? after : after + 1;  // whatever stands there: text() will tell
  }
  if (at[-1] == '@' && std::from_chars(at, end, out.host, 16).ec != std::errc()) return std::nullopt;
  return out.text() == name ? std::optional(out) : std::nullopt;
}

Result<SpillDirectory> SpillDirectory::open(const std::string& path, bool use_direct) {
  constexpr std::string_view kOperation = "open the spill directory";
  SpillDirectory out;
  out.path_ = path;
  out.directory_ = File(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!out.directory_) {
    const int error = errno;
    if (error == ENOENT)
      return fail(
          Code::invalid, kOperation,
          fmt::format("{} is not there; make it (mkdir -p {}) or name another directory", path, path));
    if (error == ENOTDIR)
      return fail(Code::invalid, kOperation, fmt::format("{} is not a directory; name one", path));
    return tl::unexpected(name_directory(path, error, "name a directory that this user may read and write"));
  }
  out.own_.user = ::geteuid();
  out.own_.process = static_cast<std::uint64_t>(::getpid());
  const auto started = start_time(out.own_.process);
  if (!started || *started == 0)
    return fail(Code::system, kOperation, "/proc/self/stat cannot be read; is /proc mounted?");
  out.own_.started = *started;
  out.own_.host = this_host();
  if (!use_direct) out.refusal_ = "not asked for";
  HOLDFAST_DO(out.probe());
  return out;
}

/// Whether files can be made here, and whether O_DIRECT works. A disk that is full now is found out later, by
/// whoever writes.
Status SpillDirectory::probe() {
  constexpr int kTries = 1000;  // other stores of this process may be probing, and have files
  Result<DiskFile> file = fail(Code::exists, "", "");
  for (std::uint64_t number = 0; number < kTries && !file && file.error().code == Code::exists; ++number) {
    file = create(number, kDiskSector);
    // Some file systems refuse the flag, others the first transfer.
    if (!file && direct() && file.error().code == Code::system) {
      refusal_ = "the file system refuses it";
      file = create(number, kDiskSector);
    }
  }
  if (!file) {
    if (file.error().code == Code::full) return {};
    Error error = std::move(file).error();
    error.operation = "open the spill directory";
    error.detail += "; name a directory that this user may write";
    return tl::unexpected(std::move(error));
  }
  if (direct()) {
    const std::unique_ptr<void, decltype(&std::free)> sector(std::aligned_alloc(kDiskSector, kDiskSector),
                                                             &std::free);
    std::fill_n(static_cast<char*>(sector.get()), kDiskSector, '\0');
    const int fd = file->descriptor.get();
    if (::pwrite(fd, sector.get(), kDiskSector, 0) < 0 && errno == EINVAL)
      refusal_ = fmt::format("the device refuses it for sectors of {} bytes", kDiskSector);
  }
  return remove(*file);
}

Result<DiskFile> SpillDirectory::create(std::uint64_t number, std::uint64_t bytes) const {
  constexpr std::string_view kOperation = "Disk::create";
  SpillFileName name = own_;
  name.number = number;
  const std::string text = name.text();
  DiskFile out;
  out.path = path_ + "/" + text;
  const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | (direct() ? O_DIRECT : 0);
  out.descriptor = File(::openat(directory_.get(), text.c_str(), flags, 0600));
  if (!out.descriptor) {
    const int error = errno;
    // A file system that refuses O_DIRECT has made the file before it says so.
    if (error == EINVAL && direct()) ::unlinkat(directory_.get(), text.c_str(), 0);
    if (error == EEXIST) return fail(Code::exists, kOperation, out.path);
    return tl::unexpected(disk_error(error, kOperation, out.path));
  }
  // Somebody who looks for leftovers may hold the lock for a moment, and from another container he cannot see
  // that we live: then the name is gone, or about to be.
  const int locked = ::flock(out.descriptor.get(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  if (locked != 0 && locked != EWOULDBLOCK) {
    remove_name(text, out.descriptor.get());
    Error error = disk_error(locked, kOperation, out.path);
    error.detail += "; the file system does not lock files (flock): choose a directory on a local disk";
    return tl::unexpected(std::move(error));
  }
  struct stat seen {};
  if (locked != 0 || ::fstat(out.descriptor.get(), &seen) != 0 || seen.st_nlink == 0)
    return fail(Code::exists, kOperation,
                fmt::format("{} was taken for a leftover by another process", out.path));
  if (const int error = preallocate(out.descriptor.get(), bytes); error != 0) {
    remove_name(text, out.descriptor.get());
    return tl::unexpected(disk_error(error, kOperation, out.path));
  }
  return out;
}

Status SpillDirectory::remove(const DiskFile& file) const {
  if (remove_name(file.path.substr(path_.size() + 1), file.descriptor.get())) return {};
  return tl::unexpected(disk_error(errno, "Disk::remove", file.path));
}

/// False where it could not be removed. A name that is gone, or is another file's now, is not ours to remove.
bool SpillDirectory::remove_name(const std::string& name, int file) const {
  struct stat own {
  }, named{};
  if (::fstat(file, &own) != 0) return false;
  if (::fstatat(directory_.get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT;
  if (own.st_dev != named.st_dev || own.st_ino != named.st_ino) return true;
  return ::unlinkat(directory_.get(), name.c_str(), 0) == 0 || errno == ENOENT;
}

SpillLeftovers SpillDirectory::remove_leftovers() const {
  SpillLeftovers removed;
  // A descriptor of its own: the position in it is shared with every copy.
  const int copy = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const listing = copy < 0 ? nullptr : ::fdopendir(copy);
  if (listing == nullptr) {
    if (copy >= 0) ::close(copy);
    return removed;
  }
  while (const dirent* const entry = ::readdir(listing)) remove_leftover(entry->d_name, removed);  // NOLINT
  ::closedir(listing);
  return removed;
}

void SpillDirectory::remove_leftover(const std::string& name, SpillLeftovers& removed) const {
  const auto parsed = SpillFileName::parse(name);
  if (!parsed || parsed->user != own_.user) return;
  if (parsed->host != 0 && parsed->host != own_.host) {
    ++removed.elsewhere;
    return;
  }
  const auto started = start_time(parsed->process);
  if (!started || *started == parsed->started) return;
  // Not one that blocks when it is opened (a pipe), nor what a link points at.
  const File file(::openat(directory_.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat seen {};
  if (!file || ::fstat(file.get(), &seen) != 0) return;
  if (!S_ISREG(seen.st_mode) || seen.st_uid != own_.user) return;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return;
  if (!remove_name(name, file.get())) return;
  ++removed.files;
  removed.bytes += static_cast<std::uint64_t>(seen.st_blocks) * 512;
}

}  // namespace holdfast
