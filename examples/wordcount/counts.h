// How often each word was seen, and the form in which counts travel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "words.h"

namespace wordcount {

/// A hash table with open addressing; the words stand one after the other in one text.
class Counts {
 public:
  Counts();

  void add(const Word& word, std::uint64_t times);
  std::size_t distinct() const { return used_; }
  Tally tally() const;

  /// In no order.
  void for_each(const std::function<void(const Word&, std::uint64_t times)>& each) const;

  /// The `n` most frequent, most frequent first, ties by alphabet.
  Counts top(std::size_t n) const;
  struct Row {
    std::string_view text;  ///< valid until the next add()
    std::uint64_t times;
  };
  std::vector<Row> sorted() const;

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint64_t times = 0;  ///< 0: empty
    std::uint64_t text = 0;   ///< where in text_
    std::uint8_t length = 0;
  };
  std::string_view text_of(const Slot& slot) const { return {text_.data() + slot.text, slot.length}; }
  Slot& find(const Word& word);
  void grow();

  std::vector<Slot> slots_;  ///< a power of two of them, at most 3 of 4 in use
  std::vector<char> text_;
  std::size_t used_ = 0;
};

// Counts travel as entries one after the other: the count (LEB128), the length (one byte), the bytes of the
// word.

std::size_t encoded_bytes(std::string_view text, std::uint64_t times);

/// Writes one entry at the start of `to`, which has room for it; returns what is left of `to`.
std::span<std::byte> encode(std::string_view text, std::uint64_t times, std::span<std::byte> to);

/// Adds all entries of `from`. Errors: corrupt (an entry is cut off or empty).
holdfast::Status decode(std::span<const std::byte> from, Counts& into);

}  // namespace wordcount
