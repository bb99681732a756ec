// Meeting in a directory that all ranks see.
//
// Every rank writes a card and reads the others'. A directory may hold cards of an earlier run under the same
// job name, so having a card of each rank is not enough: each card carries a nonce, and a rank that has a
// card of everyone writes a second file ("seen") with a digest of all nonces. The exchange ends when all
// digests are equal to one's own. My nonce is in each of them and is new, so whoever wrote such a digest has
// read my card in this run, is alive in it, and its own card, whose nonce is in there too, is of this run.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "fabric/launch/launchers.h"
#include "fabric/launch/rendezvous_file.h"
#include "holdfast/base/checksum.h"
#include "holdfast/base/file.h"
#include "holdfast/base/random.h"

namespace holdfast::fabric::launch {
namespace {

using namespace std::chrono_literals;

/// Between two looks where nothing wakes us: network file systems tell of no changes made elsewhere.
constexpr std::chrono::milliseconds kShortestPoll = 1ms;
constexpr std::chrono::milliseconds kLongestPoll = 100ms;
/// Every so many looks, files are read again even if the directory says that they are unchanged: some file
/// systems give all entries one inode number.
constexpr unsigned kTrustInodes = 16;

/// Exchanges that this process has completed, by directory, job and rank (tests run several ranks in one
/// process). All ranks open and close their stores together, so the number is the same everywhere, and files
/// of one exchange are never taken for those of the next. One that failed does not count: it may be tried
/// again and still meet ranks that come late. Any thread.
class Rounds {
 public:
  static std::uint32_t completed(const RendezvousOptions& options) {
    const std::lock_guard lock(guard());
    return counts()[key(options)];
  }
  static void complete(const RendezvousOptions& options) {
    const std::lock_guard lock(guard());
    ++counts()[key(options)];
  }

 private:
  static std::string key(const RendezvousOptions& options) {
    return fmt::format("{} {} {}", options.rank, options.job, options.directory);
  }
  static std::mutex& guard() {
    static std::mutex instance;
    return instance;
  }
  static std::map<std::string, std::uint32_t>& counts() {
    static std::map<std::string, std::uint32_t> instance;
    return instance;
  }
};

/// Sleeps until the directory changes, as far as the kernel can tell, and no longer than the poll interval.
class Watch {
 public:
  explicit Watch(const std::string& directory) : inotify_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (inotify_ && ::inotify_add_watch(inotify_.get(), directory.c_str(), IN_MOVED_TO) < 0) inotify_.reset();
  }

  void progress() { interval_ = kShortestPoll; }

  void sleep(Duration left) {
    const Duration bounded = std::min<Duration>(interval_, left);
    const auto whole = std::chrono::ceil<std::chrono::milliseconds>(bounded);
    pollfd changed{.fd = inotify_.get(), .events = POLLIN, .revents = 0};  // a negative fd is passed over
    if (::poll(&changed, 1, static_cast<int>(whole.count())) > 0) {
      std::array<char, 4096> events{};
      while (::read(inotify_.get(), events.data(), events.size()) > 0) {
      }
    }
    interval_ = std::min(interval_ * 2, kLongestPoll);
  }

 private:
  File inotify_;
  std::chrono::milliseconds interval_ = kShortestPoll;
};

/// What is known of one rank.
struct Known {
  std::optional<RendezvousFile> card;
  std::optional<std::uint64_t> seen;  ///< the digest it last wrote
  std::array<ino_t, 2> inode{};       ///< by Note; of the file read last, 0: none
};

class Meeting {
 public:
  Meeting(const RendezvousOptions& options, const Clock& clock, std::string_view card)
      : options_(options),
        clock_(clock),
        names_(options.job, Rounds::completed(options)),
        mine_{.note = Note::card,
              .rank = options.rank,
              .size = options.size,
              .nonce = random_u64(),
              .job = options.job,
              .body = std::string(card)},
        known_(options.size) {}

  Result<std::vector<std::string>> run(Deadline deadline) {
    directory_ = File(::open(options_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory_)
      return fail_errno(errno, kExchange, fmt::format("the rendezvous directory {}", options_.directory));
    Watch watch(options_.directory);
    HOLDFAST_TRY(owner_, publish(directory_.get(), names_.file(Note::card, options_.rank), mine_.encode()));
    known_[options_.rank].card = mine_;
    for (;;) {
      HOLDFAST_TRY(const bool news, look());
      HOLDFAST_DO(tell_what_is_seen());
      if (all_agree()) return finish();
      if (deadline.passed(clock_)) return timed_out();
      if (news) watch.progress();
      watch.sleep(deadline.left(clock_));
    }
  }

 private:
  /// Reads what is new in the directory; true where something was.
  Result<bool> look() {
    // Opened anew each time: that is when network file systems ask their server what changed.
    const int fd = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(errno, kExchange, fmt::format("reading {}", options_.directory));
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fd), &::closedir);
    if (!listing) return fail(Code::system, kExchange, "fdopendir failed");
    const bool trust_inodes = ++looks_ % kTrustInodes != 0;
    bool news = false;
    while (const dirent* const entry = ::readdir(listing.get())) {  // NOLINT(concurrency-mt-unsafe): own DIR
      const auto name = names_.parse(entry->d_name);
      if (!name || name->rank >= options_.size) continue;
      ino_t& inode = known_[name->rank].inode[static_cast<std::size_t>(name->note)];
      if (trust_inodes && inode != 0 && inode == entry->d_ino) continue;
      HOLDFAST_TRY(const bool taken, take(*name, entry->d_name));
      if (!taken) continue;
      inode = entry->d_ino;
      news = true;
    }
    return news;
  }

  /// Takes over what a file says; false where it is not to be believed (yet).
  Result<bool> take(const RendezvousName& name, const char* entry) {
    const auto bytes = read_published(directory_.get(), entry, owner_);
    if (!bytes) {
      struct stat status {};
      if (::fstatat(directory_.get(), entry, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_uid != owner_)
        stranger_ = {name.rank, status.st_uid};
      return false;
    }
    auto file = RendezvousFile::decode(*bytes);
    if (!file || file->note != name.note || file->rank != name.rank || file->job != options_.job)
      return false;
    if (file->size != options_.size) {
      other_size_ = file;
      return false;
    }
    Known& known = known_[name.rank];
    if (name.rank == options_.rank) {
      if (name.note == Note::card && file->nonce != mine_.nonce)
        return fail(
            Code::invalid, kExchange,
            fmt::format("another process of job {} says it is rank {}, too; give each process its own "
                        "HOLDFAST_RANK",
                        options_.job, options_.rank));
      return true;
    }
    if (name.note == Note::card) {
      known.card = std::move(*file);
      return true;
    }
    std::uint64_t digest = 0;
    if (file->body.size() != sizeof digest) return false;
    std::memcpy(&digest, file->body.data(), sizeof digest);
    known.seen = digest;
    return true;
  }

  /// Once there is a card of everyone, and whenever one changes: writes down which ones these are.
  Status tell_what_is_seen() {
    std::vector<std::uint64_t> nonces;
    nonces.reserve(known_.size());
    for (const Known& known : known_) {
      if (!known.card) return {};
      nonces.push_back(known.card->nonce);
    }
    const std::uint64_t digest = checksum(std::as_bytes(std::span(nonces)));
    Known& me = known_[options_.rank];
    if (me.seen == digest) return {};
    RendezvousFile file{.note = Note::seen,
                        .rank = options_.rank,
                        .size = options_.size,
                        .nonce = mine_.nonce,
                        .job = options_.job,
                        .body = std::string(reinterpret_cast<const char*>(&digest), sizeof digest)};
    const auto written = publish(directory_.get(), names_.file(Note::seen, options_.rank), file.encode());
    if (!written) return tl::unexpected(written.error());
    me.seen = digest;
    return {};
  }

  bool all_agree() const {
    const auto& mine = known_[options_.rank].seen;
    return mine && std::ranges::all_of(known_, [&](const Known& known) { return known.seen == mine; });
  }

  std::vector<std::string> finish() {
    // Everyone has read this card; the small "seen" file stays, since others may still look for it.
    ::unlinkat(directory_.get(), names_.file(Note::card, options_.rank).c_str(), 0);
    Rounds::complete(options_);
    std::vector<std::string> cards;
    cards.reserve(known_.size());
    for (Known& known : known_) cards.push_back(std::move(known.card->body));
    return cards;
  }

  tl::unexpected<Error> timed_out() const {
    std::vector<std::uint32_t> absent;
    std::vector<std::uint32_t> behind;
    for (std::uint32_t rank = 0; rank < options_.size; ++rank) {
      if (!known_[rank].card) absent.push_back(rank);
      if (known_[rank].seen != known_[options_.rank].seen) behind.push_back(rank);
    }
    std::string text;
    if (!absent.empty())
      text = fmt::format(
          "{} of job {} did not come to {} in time; are they running, and do their hosts see this "
          "directory?",
          list_ranks(absent), options_.job, options_.directory);
    else
      text = fmt::format(
          "{} of job {} left a card in {} but did not answer to this rank's; they may have died, or "
          "the cards are of an earlier run and nobody came this time",
          list_ranks(behind), options_.job, options_.directory);
    if (other_size_)
      text += fmt::format(
          " (there is a card of rank {} for {} ranks instead of {}: a leftover, or HOLDFAST_SIZE "
          "differs)",
          other_size_->rank, other_size_->size, options_.size);
    if (stranger_)
      text += fmt::format(
          " (the card of rank {} belongs to user {}, this process's to user {}: start all ranks as one user, "
          "or "
          "have that file removed)",
          stranger_->rank, stranger_->user, owner_);
    return fail(Code::timed_out, kExchange, std::move(text));
  }

  const RendezvousOptions& options_;
  const Clock& clock_;
  const RendezvousNames names_;
  const RendezvousFile mine_;
  File directory_;
  uid_t owner_ = 0;  // of my files, and so of those of the same user elsewhere
  std::vector<Known> known_;
  std::optional<RendezvousFile> other_size_;
  struct Stranger {
    std::uint32_t rank = 0;
    uid_t user = 0;
  };
  std::optional<Stranger> stranger_;  // whose card is not to be believed
  unsigned looks_ = 0;
};

class Rendezvous final : public Launch {
 public:
  Rendezvous(RendezvousOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {
    identity_ = {.rank = options_.rank, .size = options_.size, .job = options_.job, .launcher = "rendezvous"};
  }
  const Identity& identity() const noexcept override { return identity_; }
  Result<std::vector<std::string>> exchange(std::string_view card, Deadline deadline) override {
    HOLDFAST_DO(check_card(card));
    return Meeting(options_, clock_, card).run(deadline);
  }

 private:
  RendezvousOptions options_;
  const Clock& clock_;
  Identity identity_;
};

}  // namespace

Result<std::unique_ptr<Launch>> open_rendezvous(const RendezvousOptions& options, const Clock& clock) {
  if (options.size == 0 || options.size > kMaxRanks)
    return fail(Code::invalid, kOperation,
                fmt::format("HOLDFAST_SIZE={}: a job has 1 to {} ranks", options.size, kMaxRanks));
  if (options.rank >= options.size)
    return fail(Code::invalid, kOperation,
                fmt::format("HOLDFAST_RANK={} in a job of HOLDFAST_SIZE={}: ranks count from 0", options.rank,
                            options.size));
  if (options.job.size() > kMaxJobBytes)
    return fail(Code::invalid, kOperation, fmt::format("HOLDFAST_JOB is longer than {} bytes", kMaxJobBytes));
  const File directory(::open(options.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory && (errno == ENOENT || errno == ENOTDIR))
    return fail(
        Code::invalid, kOperation,
        fmt::format("HOLDFAST_RENDEZVOUS={} is not a directory on this host; give one that all hosts share",
                    options.directory));
  if (!directory)
    return fail_errno(errno, kOperation, fmt::format("HOLDFAST_RENDEZVOUS={}", options.directory));
  return std::make_unique<Rendezvous>(options, clock);
}

}  // namespace holdfast::fabric::launch
