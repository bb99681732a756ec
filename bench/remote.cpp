#include "bench/remote.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>

#include "holdfast/fabric/ofi.h"

namespace holdfast::bench {
namespace {

constexpr std::string_view kOperation = "bench::remote";

/// "provider\ndomain" as a store would choose.
Result<std::string> choose() {
  HOLDFAST_TRY(const StoreOptions options, StoreOptions::from_environment());
  HOLDFAST_TRY(const auto candidates, fabric::probe_ofi({options.provider, options.interface}));
  for (const auto& candidate : candidates)
    if (candidate.usable) return candidate.info.provider + '\n' + candidate.info.domain;
  return fail(Code::unsupported, kOperation, "no provider can be used here; see holdfast doctor");
}

/// Asks in a child, because RawFabric must be the first in this process to use libfabric.
Result<RawFabricOptions> what_a_store_chooses() {
  int ends[2];
  if (::pipe(ends) != 0) return fail_errno(errno, kOperation, "pipe");
  const File from_child(ends[0]);
  File to_parent(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, kOperation, "fork");
  if (child == 0) {
    const auto chosen = choose();
    const std::string text = chosen ? *chosen : chosen.error().message();
    const bool told = ::write(to_parent.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(chosen && told ? 0 : 1);
  }
  to_parent.reset();
  std::array<char, 1024> buffer;
  const ssize_t got = ::read(from_child.get(), buffer.data(), buffer.size());
  int status = 0;
  ::waitpid(child, &status, 0);
  const std::string text(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  const auto line_end = text.find('\n');
  if (status != 0 || line_end == std::string::npos) return fail(Code::unsupported, kOperation, text);
  RawFabricOptions options;
  options.provider = text.substr(0, line_end);
  options.domain = text.substr(line_end + 1);
  options.exposed_bytes = kMostRemoteBytes;
  return options;
}

Result<Remote> make() {
  Remote made;
  HOLDFAST_TRY(const RawFabricOptions options, what_a_store_chooses());
  HOLDFAST_TRY(made.tcp, RawTcp::start());
  HOLDFAST_TRY(made.raw, RawFabric::start(options));
  HOLDFAST_TRY(made.pair, Pair::open({.same_host = SameHost::fabric}));
  return made;
}

std::optional<Result<Remote>>& the_one() {
  static std::optional<Result<Remote>> remote;
  return remote;
}

}  // namespace

Result<Remote*> remote() {
  auto& made = the_one();
  if (!made) made.emplace(make());
  if (!*made) return tl::unexpected(made->error());
  return &**made;
}

void end_remote() { the_one().reset(); }

std::vector<Round> raw_streams(RawFabric& raw, const StreamChoices& choices) {
  std::vector<Round> rounds;
  const auto add = [&](std::size_t chunk, int depth) {
    const RawFabric::Stream stream = {choices.bytes, chunk, depth, choices.rounds};
    rounds.emplace_back([&raw, stream] { return raw.read_bandwidth(stream); });
  };
  add(choices.bytes, 1);
  for (const std::size_t chunk : choices.chunks)
    for (const int depth : choices.depths)
      if (chunk < choices.bytes) add(chunk, depth);
  return rounds;
}

}  // namespace holdfast::bench
