// Who am I, how many are we, and one exchange of addresses. After the exchange the launcher is not needed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/environment.h"
#include "holdfast/base/result.h"

namespace holdfast::fabric {

struct Identity {
  std::uint32_t rank = 0;
  std::uint32_t size = 1;
  std::string job;       ///< the same for all ranks of the job, different for other jobs
  std::string launcher;  ///< "pmix", "pmi1", "rendezvous" or "alone"
};

enum class Launcher : std::uint8_t { alone, rendezvous, pmix, pmi1 };

/// What the environment says of this process's launcher.
struct LauncherChoice {
  Launcher launcher = Launcher::alone;
  /// It is the process manager (PMIx, PMI-1) of a job that this process is a rank of, and answers each rank
  /// once.
  bool answers_once = false;
};

/// A rank's way to its launcher. Single-threaded.
class Launch {
 public:
  /// Whom find() asks: HOLDFAST_LAUNCHER if set; else holdfast-run's or the user's rendezvous directory
  /// (HOLDFAST_RENDEZVOUS, HOLDFAST_RANK, HOLDFAST_SIZE, HOLDFAST_JOB), PMIx (PMIX_NAMESPACE and PMIX_RANK),
  /// PMI-1 (PMI_FD, PMI_RANK, PMI_SIZE), else alone. Asks nobody itself.
  /// Errors: invalid (HOLDFAST_LAUNCHER names none).
  static Result<LauncherChoice> choose(const Environment& environment);
  /// The launcher that choose() names.
  /// Errors: invalid (variables that contradict each other), system (the launcher does not answer).
  static Result<std::unique_ptr<Launch>> find(const Environment& environment);
  virtual ~Launch() = default;

  virtual const Identity& identity() const noexcept = 0;

  /// Gives `card` (at most 64 KiB of any bytes) to all ranks and returns theirs, by rank. Call once.
  /// Errors: timed_out naming the ranks that did not show up (up to 16 of them), invalid (too large), system.
  virtual Result<std::vector<std::string>> exchange(std::string_view card, Deadline deadline) = 0;
};

}  // namespace holdfast::fabric
