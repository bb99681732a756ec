// What is said where endpoints cannot be opened for lack of ports or descriptors. Each in a process of its
// own: libfabric reads its variables once.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

#include "holdfast/base/file.h"
#include "holdfast/fabric/ofi.h"

namespace holdfast::fabric::test {
namespace {

struct Listener {
  File socket;
  std::uint16_t port = 0;
};

Listener listen_anywhere() {
  Listener out;
  out.socket = File(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  socklen_t size = sizeof at;
  auto* const any = reinterpret_cast<sockaddr*>(&at);
  if (::bind(out.socket.get(), any, size) != 0 || ::listen(out.socket.get(), 1) != 0 ||
      ::getsockname(out.socket.get(), any, &size) != 0)
    ::_exit(3);
  out.port = ntohs(at.sin_port);
  return out;
}

void allow_one_port(std::uint16_t port) {
  const std::string text = std::to_string(port);
  for (const char* name :
       {"FI_NET_PORT_LOW_RANGE", "FI_NET_PORT_HIGH_RANGE", "FI_TCP_PORT_LOW_RANGE", "FI_TCP_PORT_HIGH_RANGE"})
    ::setenv(name, text.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): there is one thread
}

/// Exits with 0 where nothing could be opened; the error is all there is on standard error.
[[noreturn]] void open_and_leave() {
  const auto fabric = open_ofi({});
  if (!fabric) std::fprintf(stderr, "%s\n", fabric.error().message().c_str());
  std::fflush(stderr);
  ::_exit(fabric || fabric.error().code != Code::denied ? 1 : 0);
}

constexpr const char* kNamesTheRange =
    "^[^\n]*FI_[NETCP]+_PORT_LOW_RANGE=[0-9]+ to FI_[NETCP]+_PORT_HIGH_RANGE=[0-9]+[^\n]*"
    "one port to serve[^\n]*widen the range[^\n]*\n$";

class OfiLimits : public testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    std::error_code ignored;  // libfabric is not to be asked: it would read its variables
    const std::filesystem::directory_iterator devices("/sys/class/infiniband", ignored);
    if (devices != std::filesystem::directory_iterator()) GTEST_SKIP() << "endpoints over RDMA take no ports";
  }
};

}  // namespace

TEST_F(OfiLimits, APortThatIsTakenNamesTheRangeAndTheFix) {
  EXPECT_EXIT(
      {
        const Listener taken = listen_anywhere();
        allow_one_port(taken.port);
        open_and_leave();
      },
      testing::ExitedWithCode(0), kNamesTheRange);
}

TEST_F(OfiLimits, ARangeOfOnePortIsTooNarrowToReadAnything) {
  EXPECT_EXIT(
      {
        allow_one_port(listen_anywhere().port);
        open_and_leave();
      },
      testing::ExitedWithCode(0), kNamesTheRange);
}

TEST_F(OfiLimits, TooFewOpenFilesIsToldOnceWithTheFix) {
  EXPECT_EXIT(
      {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = static_cast<rlim_t>(::dup(STDERR_FILENO)) + 3;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        open_and_leave();
      },
      testing::ExitedWithCode(0), "^[^\n]*Too many open files[^\n]*ulimit -n 1024[^\n]*\n$");
}

}  // namespace holdfast::fabric::test
