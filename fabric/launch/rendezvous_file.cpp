#include "fabric/launch/rendezvous_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "fabric/launch/launchers.h"
#include "holdfast/base/checksum.h"
#include "holdfast/base/file.h"
#include "holdfast/base/random.h"

namespace holdfast::fabric::launch {
namespace {

constexpr std::uint64_t kMagic = 0x3130766472666821ULL;  // "!hfrdv01"

constexpr std::size_t kMaxFileBytes = kMaxCardBytes + kMaxJobBytes + 256;

/// The fixed part. Its byte order is the machine's; a file from a machine of another order fails its magic.
struct Header {
  std::uint64_t magic;
  std::uint64_t nonce;
  std::uint32_t note;
  std::uint32_t rank;
  std::uint32_t size;
  std::uint32_t job_bytes;
  std::uint64_t body_bytes;
};
static_assert(sizeof(Header) == 40);

std::uint64_t sum(std::string_view bytes) { return checksum(std::as_bytes(std::span(bytes))); }

std::string_view suffix(Note note) { return note == Note::card ? "card" : "seen"; }

Status write_all(int fd, std::string_view bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, kExchange, fmt::format("writing {}", name));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

/// Removes a temporary file unless it was renamed.
class Temporary {
 public:
  Temporary(int directory, std::string name) : directory_(directory), name_(std::move(name)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!name_.empty()) ::unlinkat(directory_, name_.c_str(), 0);
  }
  const std::string& name() const { return name_; }
  void keep() { name_.clear(); }

 private:
  int directory_;
  std::string name_;
};

}  // namespace

std::string RendezvousFile::encode() const {
  const Header header{.magic = kMagic,
                      .nonce = nonce,
                      .note = static_cast<std::uint32_t>(note),
                      .rank = rank,
                      .size = size,
                      .job_bytes = static_cast<std::uint32_t>(job.size()),
                      .body_bytes = body.size()};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += job;
  bytes += body;
  const std::uint64_t crc = sum(bytes);
  bytes.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  return bytes;
}

std::optional<RendezvousFile> RendezvousFile::decode(std::string_view bytes) {
  Header header{};
  std::uint64_t crc = 0;
  if (bytes.size() < sizeof header + sizeof crc) return std::nullopt;
  std::memcpy(&crc, bytes.data() + bytes.size() - sizeof crc, sizeof crc);
  bytes.remove_suffix(sizeof crc);
  if (sum(bytes) != crc) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes.remove_prefix(sizeof header);
  if (header.magic != kMagic || header.note > static_cast<std::uint32_t>(Note::seen)) return std::nullopt;
  if (header.job_bytes > bytes.size() || header.body_bytes != bytes.size() - header.job_bytes)
    return std::nullopt;
  return RendezvousFile{.note = static_cast<Note>(header.note),
                        .rank = header.rank,
                        .size = header.size,
                        .nonce = header.nonce,
                        .job = std::string(bytes.substr(0, header.job_bytes)),
                        .body = std::string(bytes.substr(header.job_bytes))};
}

RendezvousNames::RendezvousNames(std::string_view job, std::uint32_t round)
    : prefix_(fmt::format("holdfast.{:016x}.{}.", sum(job), round)) {}

std::string RendezvousNames::file(Note note, std::uint32_t rank) const {
  return fmt::format("{}{}.{}", prefix_, rank, suffix(note));
}

std::optional<RendezvousName> RendezvousNames::parse(std::string_view entry) const {
  if (!entry.starts_with(prefix_)) return std::nullopt;
  entry.remove_prefix(prefix_.size());
  RendezvousName name;
  const auto [at, error] = std::from_chars(entry.data(), entry.data() + entry.size(), name.rank);
  if (error != std::errc()) return std::nullopt;
  entry.remove_prefix(static_cast<std::size_t>(at - entry.data()));
  for (const Note note : {Note::card, Note::seen}) {
    if (entry.size() == 5 && entry[0] == '.' && entry.substr(1) == suffix(note)) {
      name.note = note;
      return name;
    }
  }
  return std::nullopt;
}

Result<uid_t> publish(int directory, std::string_view name, std::string_view bytes) {
  Temporary temporary(directory, fmt::format(".holdfast.{:016x}.tmp", random_u64()));
  File file(::openat(directory, temporary.name().c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!file) return fail_errno(errno, kExchange, "creating a file in the rendezvous directory");
  HOLDFAST_DO(write_all(file.get(), bytes, name));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    return fail_errno(errno, kExchange, fmt::format("looking at {}", name));
  // A network file system sends the bytes, and reports a full disk, only when the file is closed.
  if (::close(file.release()) != 0) return fail_errno(errno, kExchange, fmt::format("closing {}", name));
  if (::renameat(directory, temporary.name().c_str(), directory, std::string(name).c_str()) != 0)
    return fail_errno(errno, kExchange, fmt::format("renaming a file to {}", name));
  temporary.keep();
  return status.st_uid;
}

std::optional<std::string> read_published(int directory, const std::string& name, uid_t owner) {
  // O_NONBLOCK: a FIFO planted under this name must not stop us.
  const File file(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return std::nullopt;
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != owner ||
      status.st_size > static_cast<off_t>(kMaxFileBytes))
    return std::nullopt;
  std::string bytes;
  std::array<char, 4096> piece{};
  while (bytes.size() <= kMaxFileBytes) {
    const ssize_t n = ::read(file.get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) return bytes;
    bytes.append(piece.data(), static_cast<std::size_t>(n));
  }
  return std::nullopt;
}

}  // namespace holdfast::fabric::launch
