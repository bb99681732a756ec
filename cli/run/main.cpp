// holdfast-run: starts the ranks of a Holdfast job where no mpirun or srun does.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "cli/run/directory.h"
#include "cli/run/janitor.h"
#include "cli/run/options.h"
#include "cli/run/pinning.h"
#include "cli/run/signals.h"
#include "cli/run/supervisor.h"
#include "holdfast/base/environment.h"
#include "holdfast/base/random.h"

namespace {

using namespace holdfast;
using namespace holdfast::run;

/// Two pipes a rank while it runs, three more while one starts, and some for ourselves.
constexpr rlim_t kDescriptorsARank = 3;
constexpr rlim_t kDescriptorsElse = 64;

int refuse(const std::string& why) {
  fmt::print(stderr, "holdfast-run: {}\n", why);
  return 1;
}

/// Where the rendezvous directory goes.
std::string parent_directory(const Options& options, const std::string& here) {
  if (!options.rendezvous.empty()) return std::filesystem::absolute(options.rendezvous).string();
  if (!options.hosts.empty()) return here;
  const char* const temporary = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): there is one thread
  return temporary != nullptr && *temporary == '/' ? temporary : "/tmp";
}

Inherited take_over() {
  Inherited inherited;
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  for (const PassedOn& signal : kPassedOn) ::sigaddset(&set, signal.number);
  ::sigprocmask(SIG_BLOCK, &set, &inherited.signals);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);  // a closed output ends the job in order
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &standard, nullptr);  // ignored by whoever started us, children would vanish unseen
  ::getrlimit(RLIMIT_NOFILE, &inherited.descriptors);
  return inherited;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 3 && std::string_view(argv[1]) == kAsLocalRank) return run_as_local_rank(argv[2], argv + 3);
  const auto parsed = parse_options(argc, argv);
  if (const auto* const leave = std::get_if<Leave>(&parsed)) return leave->code;
  const Options& options = std::get<Options>(parsed);
  // Ranks would refuse a misspelt variable one by one; say it once.
  if (const auto environment = Environment::read(); !environment)
    return refuse(environment.error().message());

  std::error_code error;
  const std::string here = std::filesystem::current_path(error).string();
  if (error) return refuse("the working directory is gone");
  const Inherited inherited = take_over();
  rlimit descriptors = inherited.descriptors;
  const rlim_t needed = kDescriptorsARank * options.ranks + kDescriptorsElse;
  if (descriptors.rlim_cur < needed) {
    if (descriptors.rlim_max < needed)
      return refuse(fmt::format("{} ranks need {} open files, and the limit is {}; raise it (ulimit -Hn)",
                                options.ranks, needed, descriptors.rlim_max));
    descriptors.rlim_cur = needed;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
  }

  const auto directory = Directory::make(parent_directory(options, here));
  if (!directory) return refuse(directory.error().message());
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const Job job{.name = fmt::format("run-{}-{}-{:016x}", host.data(), ::getpid(), random_u64()),
                .directory = directory->path(),
                .working_directory = here,
                .program = std::filesystem::read_symlink("/proc/self/exe", error).string()};
  auto janitor = Janitor::hire(job);
  if (!janitor) {
    remove_directory(directory->path());
    return refuse(janitor.error().message());
  }
  return Supervisor(options, job, *janitor, inherited).run();
}
