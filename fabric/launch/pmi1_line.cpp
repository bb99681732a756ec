#include "fabric/launch/pmi1_line.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "fabric/launch/launchers.h"
#include "fabric/launch/pmi1_text.h"

namespace holdfast::fabric::launch::pmi1 {
namespace {

using namespace std::chrono_literals;

/// For the reply to `init`, and to `finalize` at exit.
constexpr Duration kGreetingTimeout = 30s;
constexpr Duration kFarewellTimeout = 2s;
/// Longest line of the protocol (PMIU_MAXLINE of MPICH, doubled).
constexpr std::size_t kMaxLine = 8192;

}  // namespace

bool mpi_is_initialized() {
  constexpr const char* kSymbol = "MPI_Initialized";  // the same in every MPI: int (int* flag)
  void* symbol = ::dlsym(RTLD_DEFAULT, kSymbol);
  if (symbol == nullptr) {
    // Loaded for a plug-in only, as under Python: not in the global scope.
    std::vector<std::string> libraries;
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
          const std::string_view path = info->dlpi_name;
          const std::string_view name = path.substr(path.rfind('/') + 1);
          if (name.starts_with("libmpi")) static_cast<std::vector<std::string>*>(data)->emplace_back(path);
          return 0;
        },
        &libraries);
    for (const std::string& path : libraries) {
      void* const library = ::dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
      if (library == nullptr) continue;
      if (symbol == nullptr) symbol = ::dlsym(library, kSymbol);
      ::dlclose(library);  // it stays loaded: only our count of it goes
    }
  }
  if (symbol == nullptr) return false;
  int flag = 0;
  return reinterpret_cast<int (*)(int*)>(symbol)(&flag) == 0 && flag != 0;
}

Result<Line*> Line::get(int fd, const Clock& clock) {
  static Line line;
  if (line.fd_ < 0) HOLDFAST_DO(line.open(fd, clock));
  if (!line.is_still_open())
    return fail(Code::system, kOperation,
                "the line to the PMI server is closed; open the store before MPI_Finalize");
  if (line.spoilt_)
    return fail(
        Code::system, kOperation,
        "an earlier exchange ran into its deadline, and PMI-1 cannot start over; start the job again");
  return &line;
}

Status Line::open(int fd, const Clock& clock) {
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return fail(
        Code::system, kOperation,
        fmt::format("PMI_FD={} is not open: MPI_Finalize has closed it, or this process was started by a "
                    "rank instead of the launcher; open the store before MPI_Finalize",
                    fd));
  fd_ = fd;
  device_ = status.st_dev;
  inode_ = status.st_ino;
  process_ = ::getpid();
  if (mpi_is_initialized()) return {};
  const auto hello = ask("cmd=init pmi_version=1 pmi_subversion=1", "response_to_init", clock,
                         Deadline::after(clock, kGreetingTimeout));
  if (hello && field(*hello, "rc") == "0") {
    said_init_ = true;
    return {};
  }
  fd_ = -1;
  if (!hello) return tl::unexpected(hello.error());
  return fail(Code::system, kOperation, fmt::format("the PMI server speaks another version: {}", *hello));
}

Line::~Line() {
  // Not in a forked child that leaves through exit(): the line is its parent's.
  if (!said_init_ || spoilt_ || process_ != ::getpid() || !is_still_open()) return;
  const Clock& clock = real_clock();
  // Whatever the reply, there is nobody left to tell.
  (void)ask("cmd=finalize", "finalize_ack", clock, Deadline::after(clock, kFarewellTimeout));
}

bool Line::is_still_open() const {
  struct stat status {};
  return ::fstat(fd_, &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

Result<std::string> Line::ask(std::string_view request, std::string_view expected, const Clock& clock,
                              Deadline deadline) {
  HOLDFAST_DO(send(request));
  auto reply = receive(clock, deadline);
  if (!reply) {
    spoilt_ = true;
    return reply;
  }
  if (field(*reply, "cmd") == expected) return reply;
  return fail(Code::system, kExchange,
              fmt::format("the PMI server answered \"{}\" where {} was due", *reply, expected));
}

Status Line::send(std::string_view request) {
  std::string line(request);
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    // MSG_NOSIGNAL: a server that has gone is an error, not the end of this process.
    ssize_t n = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, kExchange, "writing to the PMI server");
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::string> Line::receive(const Clock& clock, Deadline deadline) {
  std::string line;
  while (line.size() < kMaxLine) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(deadline.left(clock), 1s));
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    const int polled = ::poll(&ready, 1, static_cast<int>(left.count()));
    if (polled < 0 && errno != EINTR) return fail_errno(errno, kExchange, "waiting for the PMI server");
    if (polled <= 0) {
      if (deadline.passed(clock)) return fail(Code::timed_out, kExchange, "the PMI server did not answer");
      continue;
    }
    char c = 0;  // byte by byte: what follows the line may be MPI's
    const ssize_t n = ::read(fd_, &c, 1);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return fail_errno(errno, kExchange, "reading from the PMI server");
    if (n == 0) return fail(Code::system, kExchange, "the PMI server closed the line");
    if (c == '\n') return line;
    line += c;
  }
  return fail(Code::system, kExchange, "the PMI server sent a line without end");
}

}  // namespace holdfast::fabric::launch::pmi1
