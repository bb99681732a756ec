// A member's arena as it is mapped in this process: this member's own, or a neighbour's on the same host.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "holdfast/base/file.h"
#include "holdfast/numa/arena.h"
#include "holdfast/object_id.h"
#include "src/catalogue.h"

namespace holdfast {

struct View {
  struct Piece {
    const std::byte* base = nullptr;
    std::uint64_t first = 0;
    std::uint64_t bytes = 0;
  };

  MemberId owner;
  std::uint64_t incarnation = 0;
  std::vector<Piece> pieces;
  CatalogueReader catalogue;
  std::atomic<bool> lost{false};  ///< its process has ended or left the job

  /// Address of `length` bytes at an offset of the arena; nullptr if they do not lie in one segment.
  const std::byte* at(std::uint64_t offset, std::uint64_t length) const noexcept {
    for (const Piece& piece : pieces)
      if (offset >= piece.first && offset - piece.first < piece.bytes)
        return length <= piece.bytes - (offset - piece.first) ? piece.base + (offset - piece.first) : nullptr;
    return nullptr;
  }

  // For a neighbour's: what keeps the mapping and, by staying open, this process's ledger known to the owner.
  std::vector<numa::ReadOnlyMapping> mappings;
  File connection;
};

}  // namespace holdfast
