#include "tests/testbed/job.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <map>

#include "src/peers.h"
#include "tests/core/temporary_directory.h"

namespace holdfast::test {

Control::Control(const std::string& directory, std::uint32_t rank) {
  // For reading and writing, so that neither open waits for the other side.
  in_ = File(::open(fmt::format("{}/{}.in", directory, rank).c_str(), O_RDWR | O_CLOEXEC));
  out_ = File(::open(fmt::format("{}/{}.out", directory, rank).c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(in_ && out_) << "no FIFOs for rank " << rank << " in '" << directory << "'";
}

void Control::say(std::string_view text) {
  const std::string line = fmt::format("{}\n", text);
  EXPECT_EQ(::write(out_.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
}

std::string Control::hear() {
  for (;;) {
    if (const auto end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    pollfd waited{in_.get(), POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(kLong / 1ms)) <= 0) return "(silent)";
    char buffer[512];
    const ssize_t got = ::read(in_.get(), buffer, sizeof buffer);
    if (got > 0) read_.append(buffer, static_cast<std::size_t>(got));
  }
}

void Control::expect(std::string_view text) { EXPECT_EQ(hear(), text); }

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

std::string text_of(const Pin& pin) {
  return {reinterpret_cast<const char*>(pin.bytes().data()), pin.size()};
}

Name name_at(const Store& store, std::uint32_t home, std::string_view what) {
  const Peers peers(MemberId{0}, std::vector<Card>(store.size()));
  for (std::uint32_t n = 0;; ++n)
    if (Name candidate = name(std::string(what), n); peers.home_of(*key_of(candidate)).value == home)
      return candidate;
}

namespace {

const std::map<std::string, std::function<void(Store&, const JobOptions&)>> kScenarios = {
    {"exchange", run_exchange}, {"cut", run_cut}, {"killed", run_killed}, {"wire", run_wire}};

constexpr const char* kUsage =
    "usage: testbed_job exchange|cut|killed|wire [--control DIRECTORY] [--interface NAME] [--provider NAME]\n"
    "       [--hosts N] [--ranks N] [--nodes N] [--deadline SECONDS]\n"
    "One rank of a job, for the scripts in ci/testbed. Exit code: 0 all was as expected, 1 not, 2 wrong "
    "usage.\n";

std::optional<JobOptions> parse(int argc, char** argv) {
  if (argc < 2 || !kScenarios.contains(argv[1])) return std::nullopt;
  JobOptions options{.scenario = argv[1]};
  for (int i = 2; i < argc; i += 2) {
    const std::string_view key = argv[i];
    if (i + 1 == argc) return std::nullopt;
    if (key == "--control")
      options.control = argv[i + 1];
    else if (key == "--interface")
      options.interface = argv[i + 1];
    else if (key == "--provider")
      options.provider = argv[i + 1];
    else if (key == "--deadline")
      options.deadline = std::chrono::seconds(std::atoi(argv[i + 1]));
    else if (key == "--hosts")
      options.hosts = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
    else if (key == "--nodes")
      options.nodes = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
    else if (key == "--ranks")
      options.ranks = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
    else
      return std::nullopt;
  }
  return options;
}

bool failed() { return ::testing::UnitTest::GetInstance()->ad_hoc_test_result().Failed(); }

Result<Store> open(const JobOptions& options, std::optional<TemporaryDirectory>& spill) {
  if (options.scenario != "exchange") return Store::open();
  HOLDFAST_TRY(StoreOptions wanted, StoreOptions::from_environment());
  wanted.arena.bytes = kExchangeArena;
  wanted.lifetime.spill.directories = {spill.emplace().path()};
  return Store::open(wanted);
}

int run(const JobOptions& options) {
  std::optional<TemporaryDirectory> spill;  // goes after the store
  auto opened = open(options, spill);
  if (!opened) {
    fmt::print(stderr, "{}: {}\n", host_name(), opened.error().message());
    return 1;
  }
  Store store = std::move(*opened);
  if (!options.provider.empty()) {
    EXPECT_EQ(store.stats().provider, options.provider) << store.stats().provider_reason;
  }
  kScenarios.at(options.scenario)(store, options);
  const Stats stats = store.stats();
  fmt::print(
      "rank {} of {} on {} by {} ({}): {} gets from memory, {} through the fabric ({} bytes), {} reads, {} "
      "stale places: {}\n",
      store.rank(), store.size(), host_name(), stats.provider, stats.provider_reason, stats.gets_shared,
      stats.gets_remote, stats.get_bytes_remote, stats.remote_reads, stats.remote_stale,
      failed() ? "FAILED" : "as expected");
  return failed() ? 1 : 0;
}

}  // namespace
}  // namespace holdfast::test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest();
  const auto options = holdfast::test::parse(argc, argv);
  if (!options) {
    std::fputs(holdfast::test::kUsage, stderr);
    return 2;
  }
  return holdfast::test::run(*options);
}
