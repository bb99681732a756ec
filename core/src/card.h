// What a member tells the others about itself when the job starts: how to reach and to read it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "holdfast/fabric/fabric.h"
#include "src/catalogue.h"

namespace holdfast {

/// A piece of the arena that is exposed under one key. Pieces divide each segment from its start,
/// `region_bytes` long but for the last.
struct RegionKey {
  std::uint64_t first = 0;  ///< offset in the arena's linear space
  fabric::RemoteMemory memory;
};

struct Card {
  std::string version;  ///< the library's, for messages
  std::string provider;
  std::string protocol;   ///< members must have the same
  std::string host;       ///< equal for members that can share memory
  std::string host_name;  ///< for messages
  std::uint32_t pid = 0;
  std::uint64_t incarnation = 0;   ///< random, new for every life of a member
  std::vector<std::byte> address;  ///< of the serving endpoint
  std::string host_socket;         ///< abstract socket where neighbours attach
  bool spills = false;             ///< it wants to know which of its objects are got
  std::string fallbacks;           ///< see fallbacks.h
  std::uint64_t arena_bytes = 0;
  std::uint64_t catalogue_at = 0;  ///< offset of the catalogue in the arena
  CatalogueGeometry catalogue;
  std::vector<RegionKey> keys;  ///< regions exposed when the card was written

  std::string encode() const;
  /// Errors: invalid (not a card), unsupported (of another protocol version; the detail says which).
  static Result<Card> decode(std::string_view text);
};

/// What members that can share memory have in common: the boot of the kernel, the network namespace (where
/// the sockets' names live), and the user.
std::string this_host();

/// Errors: unsupported (cards of different providers or protocols, naming a rank of each), invalid (two ranks
/// with one incarnation).
Status check_cards(std::span<const Card> cards);

}  // namespace holdfast
