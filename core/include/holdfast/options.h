// What can be chosen, with the default, the unit, the bound and the consequence of each.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/base/environment.h"
#include "holdfast/base/result.h"
#include "holdfast/base/units.h"
#include "holdfast/numa/arena.h"
#include "holdfast/object_ref.h"

namespace holdfast {

/// Which gets check the payload against its checksums. The header and the catalogue are always checked.
enum class Verify : std::uint8_t {
  always,  ///< every get and range, also of memory on this host: costs a pass over the bytes, about 0.02 ns a
           ///< byte
  remote,  ///< what came through the fabric; memory on this host is taken as it is, whatever its size at once
  never,   ///< through the fabric that takes three reads, not one: the header before and after proves the
           ///< bytes
};

/// How members on one host read each other.
enum class SameHost : std::uint8_t {
  memory,  ///< map each other's arenas, read-only
  fabric,  ///< through the fabric, as if on different hosts: for measuring and testing
};

/// On which NUMA node an object lies whose put names none.
enum class Placement : std::uint8_t {
  local,       ///< the node of the putting thread
  interleave,  ///< the arena's nodes in turn, object by object: for what is read from all over the machine
};

/// What becomes of an object that nothing keeps any more: no reference, no name.
enum class Collect : std::uint8_t {
  lazy,   ///< it stays as cache (Store::find) until room is needed; one on disk, or with parts, goes at once
  eager,  ///< it goes at once
};

/// Which of the cached objects goes first.
enum class Eviction : std::uint8_t {
  lru,      ///< the one that was not used for the longest time
  s3_fifo,  ///< the oldest that was used once; scans do not push out what is used often (Yang et al., 2023)
};

/// When and where objects that something keeps are written to disk.
struct SpillPolicy {
  /// Directories on local disks, used in turn (HOLDFAST_SPILL, separated by colons). None: nothing is
  /// spilled, and a full arena makes puts wait until their timeout. Each member keeps files of its own there,
  /// removed when it closes; those of members that died are removed by the next that opens there.
  std::vector<std::string> directories;
  /// Share of the arena that kept objects may take before the coldest are written (HOLDFAST_SPILL_ABOVE).
  /// Bound: 1 to 95.
  std::uint32_t above_percent = 80;
};

struct LifetimeOptions {
  Collect collect = Collect::lazy;    ///< HOLDFAST_COLLECT
  Eviction eviction = Eviction::lru;  ///< HOLDFAST_EVICTION
  /// How long a token keeps its object, redeemed or not (HOLDFAST_TOKEN_LIFETIME, seconds); counted by
  /// the object's owner from when it hears of the token. Bound: 1 ms to 30 days.
  Duration token_lifetime = std::chrono::seconds(60);
  /// How long a member that cannot be reached still counts as alive (HOLDFAST_MEMBER_TIMEOUT, seconds): then
  /// what it holds here is dropped, and so are names whose home it is. One that closes, or whose address
  /// another process has, is gone at once. Bound: 0 to 1 day; after three failed probes at the earliest, and
  /// after 5 s where probes do not fail and are not answered. That is also what a process is that was
  /// stopped: choose a day to debug one.
  Duration member_timeout = std::chrono::seconds(10);
  SpillPolicy spill;
};

struct StoreOptions {
  /// This member's memory: bytes (HOLDFAST_ARENA), nodes (HOLDFAST_NODES), pages (HOLDFAST_PAGES).
  numa::ArenaOptions arena;

  /// Objects and names the catalogue can hold (HOLDFAST_CATALOGUE); 107 bytes of arena each, and 187 of the
  /// process's other memory, touched only as they are used. 0: one for every 16 KiB of arena, at least 4,096.
  /// Bound: 2^32.
  std::uint64_t catalogue_entries = 0;

  /// libfabric provider (HOLDFAST_PROVIDER) and interface (HOLDFAST_INTERFACE); empty: the best one found.
  std::string provider;
  std::string interface;

  SameHost same_host = SameHost::memory;  ///< HOLDFAST_SAME_HOST
  Verify verify = Verify::always;         ///< HOLDFAST_VERIFY; each get may choose for itself

  Placement placement = Placement::local;  ///< HOLDFAST_PLACEMENT; each put may name a node

  LifetimeOptions lifetime;  ///< of this member's objects

  /// How long open() waits for the other ranks (HOLDFAST_OPEN_TIMEOUT, seconds). A rank that does not come is
  /// named in the error.
  Duration open_timeout = std::chrono::seconds(60);

  /// Reading endpoints this process may open: one for each thread as long as no more threads than that use
  /// stores at once, those that ended not counted; threads beyond share, and those that are left of more may
  /// go on sharing. About 55 KiB and 2 ms each over TCP. Bound: 1 to 256.
  std::uint32_t reading_endpoints = 16;

  /// Pins this process may hold at once, of its own and same-host objects; 8 bytes each. More give `full`.
  /// Bound: 64 to 2^24.
  std::uint32_t pins = 1U << 16;

  /// `defaults` with what the environment says laid over it.
  /// Errors: invalid (a value that cannot be read, an unknown HOLDFAST_ variable).
  static Result<StoreOptions> from_environment(StoreOptions defaults);
  static Result<StoreOptions> from_environment();
};

struct PutOptions {
  /// Payload alignment in bytes: a power of two, 64 to 2 MiB.
  std::uint32_t alignment = 64;

  /// NUMA node to lie on; nothing: as StoreOptions::placement says. A node that is full gives way to the
  /// nearest with room (counted in stats().placed_elsewhere).
  std::optional<numa::NodeId> node;

  enum class Checksum : std::uint8_t {
    on,   ///< chunks are checksummed while they are copied or sealed
    off,  ///< none is kept: readers detect a stale or torn header, but not a damaged payload
  };
  Checksum checksum = Checksum::on;

  /// References that the object contains, in whatever form its bytes name them: those objects live at least
  /// as long as this one. Who has this one gets them by Store::parts. Objects cannot keep each other in a
  /// circle: what is declared exists before the object that declares it.
  std::vector<ObjectRef> parts;

  /// How long a put waits for room, and one under a name for the name's home.
  Duration timeout = std::chrono::seconds(30);
};

struct GetOptions {
  std::optional<Verify> verify;  ///< nothing: as the store was opened

  enum class Missing : std::uint8_t {
    wait,  ///< wait until the name is published or the object sealed, up to the deadline
    fail,  ///< `not_found` at once
  };
  Missing missing = Missing::wait;

  /// For fetch(): when the operation ends by itself, whether anybody waits for it or not.
  Duration timeout = std::chrono::seconds(60);
};

/// Part of a payload.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

}  // namespace holdfast
