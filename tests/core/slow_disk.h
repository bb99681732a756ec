// A program that links this has slow disks: pread and pwrite are its own, and io_uring is refused, so that
// all of spilling goes through them. For tests of what waits for a disk, and of what must not.
#pragma once

#include <cstdint>

namespace holdfast::test {

/// From now on transfers stand still, those under way too, until the disk goes on. This process only.
void stop_disk();
/// The same, but only if none is under way; else false.
bool stop_idle_disk();
void let_disk_go_on();

/// Transfers that have begun since the program started, by this process.
std::uint64_t disk_transfers();

}  // namespace holdfast::test
