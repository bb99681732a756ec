#include "bench/raw_tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <vector>

namespace holdfast::bench {
namespace {

constexpr std::string_view kOperation = "RawTcp";

struct Request {
  std::uint64_t bytes = 0;
  std::uint64_t unused = 0;  // as long as a small read request on the wire
};

bool send_all(int socket, const std::byte* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t sent = ::send(socket, data, bytes, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    bytes -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool receive_all(int socket, std::byte* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = ::recv(socket, data, bytes, 0);
    if (got <= 0) return false;
    data += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

void no_delay(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/// The child: sends what is asked for.
[[noreturn]] void serve(const File& listener) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const File socket(::accept(listener.get(), nullptr, nullptr));
  no_delay(socket.get());
  std::vector<std::byte> memory;
  Request request;
  while (receive_all(socket.get(), reinterpret_cast<std::byte*>(&request), sizeof(request))) {
    if (memory.size() < request.bytes) memory.resize(request.bytes, std::byte{1});
    if (!send_all(socket.get(), memory.data(), request.bytes)) break;
  }
  _exit(0);
}

Result<std::vector<double>> ask(int socket, std::size_t bytes, int rounds) {
  std::vector<std::byte> memory(bytes, std::byte{1});
  std::vector<double> times;
  for (int round = -1; round < rounds; ++round) {  // the first one warms up
    const auto start = std::chrono::steady_clock::now();
    const Request request{bytes, 0};
    if (!send_all(socket, reinterpret_cast<const std::byte*>(&request), sizeof(request)) ||
        !receive_all(socket, memory.data(), bytes))
      return fail_errno(errno, kOperation, "the other end");
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    if (round >= 0) times.push_back(time.count());
  }
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace

Result<std::unique_ptr<RawTcp>> RawTcp::start() {
  const File listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (!listener || ::bind(listener.get(), any, size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), any, &size) != 0)
    return fail_errno(errno, kOperation, "listen on loopback");
  const pid_t child = fork();
  if (child < 0) return fail_errno(errno, kOperation, "fork");
  if (child == 0) serve(listener);
  std::unique_ptr<RawTcp> tcp(new RawTcp(File(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), child));
  if (!tcp->socket_ || ::connect(tcp->socket_.get(), any, size) != 0)
    return fail_errno(errno, kOperation, "connect over loopback");
  no_delay(tcp->socket_.get());
  return tcp;
}

RawTcp::~RawTcp() {
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

Result<double> RawTcp::round_trip_ns(std::size_t bytes, int rounds) {
  if (bytes < 1 || rounds < 1) return fail(Code::invalid, kOperation, "nothing to measure");
  HOLDFAST_TRY(const std::vector<double> times, ask(socket_.get(), bytes, rounds));
  return times[times.size() / 2];
}

Result<double> RawTcp::stream_bandwidth(std::size_t bytes, int rounds) {
  HOLDFAST_TRY(const double nanoseconds, round_trip_ns(bytes, rounds));
  return static_cast<double>(bytes) / nanoseconds * 1e9;
}

}  // namespace holdfast::bench
