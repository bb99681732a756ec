// What a simulated job goes through: its shape, and a plain list of who does what when. It can be printed,
// replayed and made shorter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::sim::test {

/// `object` is a number of the scenario's own; the first act that makes it gives it its bytes. What is done
/// "by handle" is done by the first member from `member` on that has one. An act that lacks something (an
/// object, a handle, a member that runs) does nothing, so that any part of a scenario is one, too.
enum class Act : std::uint8_t {
  put,        ///< object of `amount` bytes; under name `other`, unless 0
  draft,      ///< the same, to be sealed later; its handle may be passed on meanwhile
  seal,       ///< under name `other`, unless 0
  abandon,    ///< the draft
  get,        ///< by handle
  get_range,  ///< by handle; `amount` chooses the range
  get_into,   ///< by handle
  get_many,   ///< all handles of objects with the same owner
  get_name,   ///< name `other`; waits if `amount` is not 0
  wait,       ///< by handle; until it is sealed
  lookup,     ///< name `other`: a handle; waits if `amount` is not 0
  pin,        ///< by handle; get, and hold the pin for `amount` microseconds
  pass,   ///< by handle; a token to member `other`, who redeems it after a while; and `amount` times on from
          ///< there
  drop,   ///< by handle: it goes
  erase,  ///< by handle
  erase_name,  ///< name `other`
  crash,
  leave,
  restart,
  stop,
  resume,
  slow,         ///< by a factor of `amount`
  cut,          ///< the paths between the hosts of `member` and `other`; one way if `amount` is not 0
  heal,         ///< all paths
  break_link,   ///< connections between `member` and `other`
  put_parts,    ///< as put, without a name; object `other` is declared to be part of it
  parts,        ///< by handle: handles of what it declares
  prefetch,     ///< by handle
  disk_slow,    ///< the member's disks, by a factor of `amount`
  disk_fail,    ///< reads (`other` 1), writes (2) or both (3) of them fail, one in `amount`
  disk_full,    ///< nothing more fits
  disk_damage,  ///< a byte of each file changes
  disk_mend,    ///< they are as at the beginning, but for what is in the files
  power_loss,   ///< the member's host goes dark: all on it end, and nobody says so
  power_back,   ///< hosts run again; who was on them does not
  full_queues,  ///< of the member: `amount` operations may wait for the network, more are refused
  slow_host,    ///< the member's: its network, by a factor of `amount`
  call_off,     ///< a get by handle, or of name `other` unless 0, that waits; called off after `amount` us
  barrier,      ///< the member arrives; the next one only when it has passed, or given up, the one before
};
std::string_view to_string(Act act) noexcept;

struct Step {
  std::uint64_t at_us = 0;
  std::uint32_t member = 0;
  Act act = Act::put;
  std::uint32_t object = 0;
  std::uint32_t other = 0;
  std::uint64_t amount = 0;
};

struct Scenario {
  std::uint64_t seed = 1;  ///< of the network's own randomness, and of incarnations
  std::uint32_t members = 2;
  std::uint32_t members_per_host = 1;
  bool share_memory = false;  ///< members of a host map each other's arenas
  bool needs_target = false;  ///< as over TCP
  bool scatter = false;       ///< pieces of reads come in any order
  bool verify_all = true;     ///< Verify::always, else never
  bool checksums = true;      ///< of all objects
  bool eager = false;         ///< Collect
  bool s3_fifo = false;       ///< Eviction
  std::uint32_t piece_bytes = 4096;
  std::uint32_t jitter_us = 0;
  std::uint32_t straggler_one_in = 0;  ///< messages and reads that take up to `straggle_us` longer; 0: none
  std::uint32_t straggle_us = 0;
  std::uint32_t detection_ms = 4000;
  std::uint32_t member_timeout_ms = 0;
  std::uint32_t token_ms = 1000;
  std::uint32_t arena_kib = 256;  ///< of each node
  std::uint32_t gather = 1;       ///< stretches that one read takes
  std::uint32_t nodes = 1;        ///< of NUMA; objects are put on one after the other
  std::uint32_t disks = 0;        ///< of each member, to spill to
  std::uint32_t spill_above = 80;
  std::uint32_t disk_kib = 0;  ///< that fit; 0: any
  std::uint32_t disk_latency_us = 80;
  std::uint32_t disk_mb_per_s = 2000;
  std::vector<Step> steps;  ///< in the order of time
};

/// The scenario of a seed: calm ones, with trouble on the network, with deaths, and with everything.
Scenario make_scenario(std::uint64_t seed);

/// A test that plays it, to be pasted into regressions_test.cpp.
std::string as_test(const Scenario& scenario, std::string_view name);

}  // namespace holdfast::sim::test
