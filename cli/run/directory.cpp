#include "cli/run/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string_view>

namespace holdfast::run {
namespace {

constexpr std::string_view kOperation = "holdfast-run";
constexpr const char* kLock = "/run.lock";
/// A directory without a lock is being made just now, unless it is older than this.
constexpr std::time_t kMakingSeconds = 60;
/// Attempts to make a directory that nobody takes for a leftover between its making and its locking.
constexpr int kAttempts = 8;

/// Names the user and the host: a lock says nothing about processes of other hosts on every file system.
std::string prefix() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("holdfast-run.{}.{}.", ::geteuid(), host.data());
}

void for_each_entry(const std::string& path, const std::function<void(const std::string&)>& visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(path.c_str()), &::closedir);
  if (!listing) return;
  while (const dirent* const entry = ::readdir(listing.get())) {  // NOLINT(concurrency-mt-unsafe): own DIR
    const std::string name = entry->d_name;
    if (name != "." && name != "..") visit(name);
  }
}

bool is_left_over(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != ::geteuid())
    return false;
  const File lock(::open((path + kLock).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock) return errno == ENOENT && std::time(nullptr) - status.st_mtime > kMakingSeconds;
  return ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace

Result<Directory> Directory::make(const std::string& parent) {
  const std::string start = prefix();
  for_each_entry(parent, [&](const std::string& name) {
    const std::string path = parent + '/' + name;
    if (name.starts_with(start) && is_left_over(path)) remove_directory(path);
  });
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string path = parent + '/' + start + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr)
      return fail_errno(errno, kOperation, fmt::format("making a rendezvous directory in {}", parent));
    File lock(::open((path + kLock).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!lock) continue;
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) continue;
    struct stat status {};
    if (::fstat(lock.get(), &status) == 0 && status.st_nlink > 0) return Directory(path, std::move(lock));
  }
  return fail(Code::system, kOperation,
              fmt::format("a rendezvous directory in {} vanishes while being made", parent));
}

void remove_directory(const std::string& path) {
  for_each_entry(path, [&](const std::string& name) { ::unlink((path + '/' + name).c_str()); });
  ::rmdir(path.c_str());
}

}  // namespace holdfast::run
