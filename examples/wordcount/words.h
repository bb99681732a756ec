// What a word is, and reading words from a range of a file.
//
// A word is a run of ASCII letters, digits and bytes from 0x80 up (so that UTF-8 letters hold together);
// capital ASCII letters count as small ones. Of a word longer than kLongestWord, the first kLongestWord bytes
// count.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/random.h"
#include "holdfast/base/result.h"

namespace wordcount {

inline constexpr std::size_t kLongestWord = 255;  // its length fits a byte

/// What a byte becomes in a word; 0 for bytes between words.
inline constexpr std::array<char, 256> kLetters = [] {
  std::array<char, 256> letters{};
  for (int byte = 0; byte < 256; ++byte) {
    const bool small = byte >= 'a' && byte <= 'z', capital = byte >= 'A' && byte <= 'Z';
    const bool digit = byte >= '0' && byte <= '9';
    if (small || digit || byte >= 0x80) letters[static_cast<std::size_t>(byte)] = static_cast<char>(byte);
    if (capital) letters[static_cast<std::size_t>(byte)] = static_cast<char>(byte - 'A' + 'a');
  }
  return letters;
}();

constexpr char letter(char byte) { return kLetters[static_cast<unsigned char>(byte)]; }

/// FNV-1a, byte by byte as a word is read, then mixed: its low bits choose the partition, others the slot.
class WordHash {
 public:
  void add(char byte) { state_ = (state_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3ULL; }
  std::uint64_t value() const { return holdfast::mix64(state_); }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

struct Word {
  std::string_view text;
  std::uint64_t hash = 0;
};

/// Part of one file.
struct Piece {
  std::string path;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The share of `rank` among `size` ranks: the files stand one after the other, and each rank gets as many
/// bytes. Errors: invalid (not a plain file), not_found, denied, system.
holdfast::Result<std::vector<Piece>> share_of(const std::vector<std::string>& paths, std::uint32_t rank,
                                              std::uint32_t size);

std::uint64_t bytes_of(const std::vector<Piece>& pieces);

/// Calls `each` for every word that begins in the piece, also where it ends beyond: so pieces that cover a
/// file give each of its words once. `progress` hears how many bytes were read since it was last called.
/// Errors: not_found, denied, system; corrupt (the file has become shorter).
holdfast::Status for_each_word(const Piece& piece, const std::function<void(std::uint64_t)>& progress,
                               const std::function<void(const Word&)>& each);

/// What is known of many words without keeping them.
struct Tally {
  std::uint64_t words = 0;
  std::uint64_t fingerprint =
      0;  ///< the sum of their hashes: changes if any word is lost, doubled or altered

  void add(std::uint64_t hash, std::uint64_t times) {
    words += times;
    fingerprint += hash * times;
  }
  friend bool operator==(const Tally&, const Tally&) = default;
};

/// One pass over whole files, by code that knows nothing of pieces, tables or partitions.
holdfast::Result<Tally> recount(const std::vector<std::string>& paths,
                                const std::function<void(std::uint64_t)>& progress);

}  // namespace wordcount
