#include "bench/peer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>
#include <thread>
#include <utility>

#include "bench/prefault_wait.h"
#include "bench/spawn.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

// Arguments: this, "memory" or "fabric", bytes of arena, catalogue entries.
constexpr std::string_view kPeerArgument = "--holdfast-bench-peer";

// Lines from the peer: a token, or this and what went wrong.
constexpr std::string_view kError = "error ";
constexpr std::string_view kReady = "ready";
constexpr std::string_view kDone = "done";

Result<Store> open_store(const PairOptions& options) {
  HOLDFAST_TRY(StoreOptions store_options, StoreOptions::from_environment());
  store_options.arena.bytes = options.arena_bytes;
  store_options.catalogue_entries = options.catalogue_entries;
  store_options.same_host = options.same_host;
  HOLDFAST_TRY(Store store, Store::open(store_options));
  // First touches belong to no benchmark but bench_open.
  for (PrefaultWait wait;; std::this_thread::sleep_for(5ms)) {
    std::vector<numa::SegmentReport> segments;
    for (const NodeStats& node : store.stats().nodes) segments.push_back(node.segment);
    HOLDFAST_TRY(const bool whole, wait.look(segments, std::chrono::steady_clock::now()));
    if (whole) return store;
  }
}

/// The next line from `fd`; what comes after it stays in `unread`.
Result<std::string> next_line(int fd, std::string& unread) {
  for (;;) {
    if (const auto end = unread.find('\n'); end != std::string::npos) {
      std::string line = unread.substr(0, end);
      unread.erase(0, end + 1);
      return line;
    }
    char buffer[16384];
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(Code::owner_lost, "bench::Pair", "the other process has ended");
    unread.append(buffer, static_cast<std::size_t>(got));
  }
}

/// Puts what `request` asks for; the tokens, a line each.
Result<std::string> serve(Store& store, const PutRequest& request) {
  std::string reply;
  std::vector<std::byte> payload(request.bytes), gap(request.gap_bytes);
  for (std::uint64_t i = 0; i < request.count; ++i) {
    for (std::size_t k = 0; k < std::min<std::size_t>(payload.size(), sizeof i); ++k)
      payload[k] = static_cast<std::byte>(i >> (8 * k));
    HOLDFAST_TRY(const ObjectRef ref,
                 request.prefix.empty() ? store.put(payload) : store.put(name(request.prefix, i), payload));
    reply += ref.token() + '\n';
    if (!gap.empty()) HOLDFAST_DO(store.put(gap));
  }
  return reply.append(kDone) += '\n';
}

int run_peer(const PairOptions& options) {
  auto store = open_store(options);
  if (!store) {
    write_all(kChildSocket, std::string(kError) + store.error().message() + '\n');
    return 1;
  }
  write_all(kChildSocket, std::string(kReady) + '\n');
  std::string unread;
  for (;;) {
    const auto line = next_line(kChildSocket, unread);
    if (!line) return 0;
    std::istringstream in(*line);
    PutRequest request;
    in >> request.count >> request.bytes >> request.gap_bytes >> request.prefix;
    const auto reply = serve(*store, request);
    write_all(kChildSocket, reply ? *reply : std::string(kError) + reply.error().message() + '\n');
  }
}

}  // namespace

std::optional<int> run_as_peer(int argc, char** argv) {
  if (argc != 5 || argv[1] != kPeerArgument) return std::nullopt;
  return run_peer({.same_host = std::strcmp(argv[2], "fabric") == 0 ? SameHost::fabric : SameHost::memory,
                   .arena_bytes = std::stoull(argv[3]),
                   .catalogue_entries = std::stoull(argv[4])});
}

Result<std::unique_ptr<Pair>> Pair::open(const PairOptions& options) {
  HOLDFAST_TRY(const RendezvousDirectory directory, RendezvousDirectory::create());
  HOLDFAST_TRY(
      Spawned spawned,
      spawn_rank(directory, {1, 2},
                 {std::string(kPeerArgument), options.same_host == SameHost::fabric ? "fabric" : "memory",
                  std::to_string(options.arena_bytes), std::to_string(options.catalogue_entries)}));
  std::unique_ptr<Pair> pair(new Pair(std::move(spawned.socket), spawned.pid));
  set_launch_environment(directory, {0, 2});
  HOLDFAST_TRY(Store store, open_store(options));
  pair->store_.emplace(std::move(store));
  HOLDFAST_TRY(const std::string line, pair->read_line());
  if (line != kReady) return fail(Code::system, "bench::Pair", line);
  return pair;
}

Pair::~Pair() {
  store_.reset();
  end_rank(peer_);
}

Result<std::string> Pair::read_line() { return next_line(socket_.get(), unread_); }

Result<std::vector<ObjectRef>> Pair::put(const PutRequest& request) {
  std::ostringstream line;
  line << request.count << ' ' << request.bytes << ' ' << request.gap_bytes << ' ' << request.prefix << '\n';
  write_all(socket_.get(), line.str());
  std::vector<ObjectRef> refs;
  for (;;) {
    HOLDFAST_TRY(const std::string token, read_line());
    if (token == kDone) return refs;
    if (token.starts_with(kError)) return fail(Code::system, "bench::Pair::put", token);
    HOLDFAST_TRY(ObjectRef ref, store_->redeem(token));
    refs.push_back(std::move(ref));
  }
}

Result<Store> open_alone(std::uint64_t arena_bytes, std::uint64_t catalogue_entries) {
  ::setenv("HOLDFAST_LAUNCHER", "alone", 1);
  return open_store({.arena_bytes = arena_bytes, .catalogue_entries = catalogue_entries});
}

}  // namespace holdfast::bench
