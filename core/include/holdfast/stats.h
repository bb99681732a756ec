// What a member has done and holds, counted since it was opened.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/latency.h"
#include "holdfast/numa/arena.h"

namespace holdfast {

/// Memory of one NUMA node's segment, in bytes.
struct NodeStats {
  numa::SegmentReport segment;
  std::uint64_t bytes_used = 0;  ///< blocks, landing buffers and the catalogue, with rounding
  std::uint64_t bytes_free = 0;
  std::uint64_t largest_free = 0;  ///< the largest block that can be had now

  // Of bytes_used; the rest are drafts, landing buffers, the catalogue, and erased objects that are pinned.
  std::uint64_t objects = 0;         ///< in memory
  std::uint64_t bytes_kept = 0;      ///< blocks of sealed objects that something keeps
  std::uint64_t bytes_cached = 0;    ///< of those that nothing keeps
  std::uint64_t bytes_spilling = 0;  ///< of those that are being written to disk
  std::uint64_t bytes_pinned = 0;    ///< of all of these and of erased ones: what pins hold in place now

  std::uint64_t evictions = 0;  ///< cached objects that made room here
  std::uint64_t spills = 0;     ///< objects written from here to disk
  std::uint64_t restores = 0;   ///< objects brought back to here
};

/// What this member keeps in one directory of StoreOptions::lifetime.spill.
struct SpillDirectoryStats {
  std::string directory;
  std::string mode;                  ///< how it is reached: "io_uring, O_DIRECT"
  std::uint64_t bytes_live = 0;      ///< of objects there
  std::uint64_t bytes_in_files = 0;  ///< of its files, spare ones included
  std::uint64_t objects = 0;
  std::uint64_t segments = 0;       ///< files, spare ones included
  std::uint64_t bytes_written = 0;  ///< to the disk, with padding and with what was moved there
  std::uint64_t bytes_read = 0;     ///< from the disk, with padding and with what was moved from there
  std::uint64_t bytes_moved = 0;    ///< of objects that compaction moved away from its files
  std::string failed;               ///< why it takes no more writes; empty: it does
};

struct Stats {
  std::uint64_t objects = 0;                ///< sealed and not erased
  std::uint64_t object_bytes = 0;           ///< their payloads
  std::uint64_t names = 0;                  ///< published here as their home
  std::uint64_t blocks_awaiting_unpin = 0;  ///< erased, still pinned by somebody

  std::uint64_t cached = 0;          ///< objects that nothing keeps any more, readable until room is needed
  std::uint64_t cached_bytes = 0;    ///< their blocks
  std::uint64_t held_elsewhere = 0;  ///< objects that other members' references or tokens keep
  std::uint64_t evictions = 0;       ///< cached objects that made room
  std::uint64_t evicted_bytes = 0;
  std::uint64_t collected = 0;  ///< objects that went as soon as nothing kept them: see Collect
  std::uint64_t collected_bytes = 0;
  std::uint64_t reference_messages = 0;  ///< sent for references: holds, reports, probes of holders

  std::uint64_t on_disk = 0;        ///< objects that are on disk and not in memory
  std::uint64_t on_disk_bytes = 0;  ///< their blocks
  std::uint64_t spilling = 0;       ///< being written now
  std::uint64_t spilling_bytes = 0;
  std::uint64_t spills = 0;  ///< objects written to disk
  std::uint64_t spilled_bytes = 0;
  std::uint64_t restores = 0;  ///< objects brought back
  std::uint64_t restored_bytes = 0;
  std::uint64_t thrashing = 0;  ///< times that half of what came back within 10 s had left no longer before
  std::uint64_t moved = 0;      ///< objects moved in memory to join what is free
  std::uint64_t moved_bytes = 0;
  std::uint64_t puts_waiting = 0;  ///< now, for room
  std::uint64_t puts_waited = 0;   ///< that found no room at once
  LatencyHistogram put_waits;      ///< of those
  LatencyHistogram spill_times;    ///< from the choice of an object until it is on disk
  LatencyHistogram restore_times;  ///< from the first request until it is in memory
  std::vector<SpillDirectoryStats> spill_directories;

  std::uint64_t puts = 0;
  std::uint64_t put_bytes = 0;
  std::uint64_t erases = 0;
  std::uint64_t placed_elsewhere = 0;  ///< puts whose node was full

  std::uint64_t gets_local = 0;      ///< of this member's own objects
  std::uint64_t gets_shared = 0;     ///< from memory of other members on this host
  std::uint64_t gets_remote = 0;     ///< through the fabric
  std::uint64_t gets_from_disk = 0;  ///< of all of these: had to wait for an owner's disk
  LatencyHistogram remote_gets;      ///< from the call; batches are not in it
  std::uint64_t get_bytes_local = 0;
  std::uint64_t get_bytes_shared = 0;
  std::uint64_t get_bytes_remote = 0;
  std::uint64_t remote_reads = 0;  ///< one-sided reads asked of the fabric for gets and look-ups
  std::uint64_t remote_stale = 0;  ///< a remembered place was stale and the catalogue was asked
  std::uint64_t remote_torn = 0;   ///< a read met a change and was done again
  std::uint64_t corrupt = 0;       ///< checksums that failed
  std::uint64_t quarantined = 0;   ///< landing buffers of timed-out reads not yet free again

  std::uint64_t messages_sent = 0;  ///< control messages
  std::uint64_t messages_received = 0;
  std::uint64_t requests_served = 0;  ///< by the agent thread, for other members or this one; no probes
  std::uint64_t waiters = 0;          ///< now waiting here for a name or a seal
  std::uint64_t members_lost = 0;     ///< same-host members whose process has ended

  /// Share of gets that found their object in memory; 1 without any.
  double hit_ratio() const noexcept {
    const std::uint64_t gets = gets_local + gets_shared + gets_remote;
    const std::uint64_t hits = gets - (gets_from_disk < gets ? gets_from_disk : gets);
    return gets == 0 ? 1.0 : static_cast<double>(hits) / static_cast<double>(gets);
  }

  std::string provider;  ///< of the fabric, with the reason it was chosen
  std::string provider_reason;
  std::vector<NodeStats> nodes;
};

}  // namespace holdfast
