#include "words.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "holdfast/base/file.h"
#include "holdfast/base/units.h"

namespace wordcount {
namespace {

using namespace holdfast;

constexpr std::size_t kBuffer = 1_MiB;

Result<File> open_file(const std::string& path) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return fail(Code::not_found, "wordcount", path + ": no such file");
  if (!file) return fail_errno(errno, "wordcount", path);
  return file;
}

Result<std::uint64_t> size_of(const std::string& path) {
  HOLDFAST_TRY(const File file, open_file(path));
  struct stat found {};
  if (::fstat(file.get(), &found) != 0) return fail_errno(errno, "wordcount", path);
  if (!S_ISREG(found.st_mode)) return fail(Code::invalid, "wordcount", path + ": give plain files");
  return static_cast<std::uint64_t>(found.st_size);
}

/// Bytes read at `offset`; 0 at the end of the file.
Result<std::size_t> read_at(const File& file, std::span<char> into, std::uint64_t offset,
                            const std::string& path) {
  for (;;) {
    const ssize_t got = ::pread(file.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail_errno(errno, "wordcount", path);
  }
}

/// Puts words together from bytes that come in any portions.
class WordReader {
 public:
  bool inside() const { return inside_; }

  /// Takes a byte; true when it ended a word, which word() then is until the next byte.
  bool take(char byte) {
    const char small = letter(byte);
    if (small == 0) return end();
    if (!inside_) start();
    if (length_ < kLongestWord) {
      text_[length_++] = small;
      hash_.add(small);
    }
    return false;
  }
  bool end() { return std::exchange(inside_, false); }
  Word word() const { return {{text_.data(), length_}, hash_.value()}; }

 private:
  void start() {
    inside_ = true;
    length_ = 0;
    hash_ = {};
  }

  bool inside_ = false;
  std::size_t length_ = 0;
  std::array<char, kLongestWord> text_;
  WordHash hash_;
};

}  // namespace

Result<std::vector<Piece>> share_of(const std::vector<std::string>& paths, std::uint32_t rank,
                                    std::uint32_t size) {
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const std::string& path : paths) {
    HOLDFAST_TRY(sizes.emplace_back(), size_of(path));
    total += sizes.back();
  }
  // In this order nothing overflows below 2^32 ranks, and the shares differ by less than a byte a rank.
  const auto boundary = [&](std::uint64_t r) { return total / size * r + total % size * r / size; };
  const std::uint64_t begin = boundary(rank), end = boundary(std::uint64_t{rank} + 1);
  std::vector<Piece> pieces;
  std::uint64_t start = 0;
  for (std::size_t i = 0; i < paths.size(); start += sizes[i++]) {
    const std::uint64_t from = std::max(begin, start), to = std::min(end, start + sizes[i]);
    if (from < to) pieces.push_back({paths[i], from - start, to - start});
  }
  return pieces;
}

std::uint64_t bytes_of(const std::vector<Piece>& pieces) {
  std::uint64_t bytes = 0;
  for (const Piece& piece : pieces) bytes += piece.end - piece.begin;
  return bytes;
}

Status for_each_word(const Piece& piece, const std::function<void(std::uint64_t)>& progress,
                     const std::function<void(const Word&)>& each) {
  HOLDFAST_TRY(const File file, open_file(piece.path));
  std::vector<char> buffer(kBuffer);
  WordReader reader;
  // A word that is under way at `begin` belongs to the piece before: the byte before tells.
  bool foreign = piece.begin > 0;
  std::uint64_t at = piece.begin > 0 ? piece.begin - 1 : 0;
  while (at < piece.end || reader.inside()) {
    HOLDFAST_TRY(const std::size_t got, read_at(file, buffer, at, piece.path));
    if (got == 0 && at < piece.end)
      return fail(Code::corrupt, "wordcount", piece.path + " has become shorter while it was read");
    if (got == 0) break;
    if (at < piece.end) progress(std::min(at + got, piece.end) - std::max(at, piece.begin));
    for (std::size_t i = 0; i < got; ++i, ++at) {
      if (at >= piece.end && !reader.inside()) return {};
      if (foreign) {
        foreign = letter(buffer[i]) != 0;
        continue;
      }
      if (reader.take(buffer[i])) each(reader.word());
    }
  }
  if (reader.end()) each(reader.word());
  return {};
}

Result<Tally> recount(const std::vector<std::string>& paths,
                      const std::function<void(std::uint64_t)>& progress) {
  Tally tally;
  std::vector<char> buffer(kBuffer);
  for (const std::string& path : paths) {
    HOLDFAST_TRY(const File file, open_file(path));
    WordReader reader;
    for (std::uint64_t at = 0;;) {
      HOLDFAST_TRY(const std::size_t got, read_at(file, buffer, at, path));
      if (got == 0) break;
      for (std::size_t i = 0; i < got; ++i)
        if (reader.take(buffer[i])) tally.add(reader.word().hash, 1);
      at += got;
      progress(got);
    }
    if (reader.end()) tally.add(reader.word().hash, 1);
  }
  return tally;
}

}  // namespace wordcount
