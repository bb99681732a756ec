// Processes that ranks started and left behind, also those that have left their rank's process group.
#pragma once

#include <sys/types.h>

#include <string>

namespace holdfast::run {

/// From now on a process of the job whose parent ends becomes a child of this one. Call before the first rank
/// is started.
void adopt_orphans() noexcept;

/// Kills and reaps the children of this process and whatever comes to light under them, except `spared` and
/// its own. Call when no rank is left.
void end_orphans(pid_t spared);

/// Kills the processes of this user on this host that have HOLDFAST_JOB=`job` in the environment they were
/// started with: for whoever is not their ancestor. One that was started without is not found.
void end_job(const std::string& job);

/// Whether a process is gone, or only waits for its parent to hear of its end.
bool has_ended(pid_t pid);

}  // namespace holdfast::run
