#include "counts.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace wordcount {
namespace {

using namespace holdfast;

constexpr std::size_t kFirstSlots = 4096;
constexpr unsigned kVarintBits = 7;

/// The partition takes the low bits of the hash; slots take the high ones.
std::size_t home(std::uint64_t hash, std::size_t slots) { return (hash >> 24) & (slots - 1); }

}  // namespace

Counts::Counts() : slots_(kFirstSlots) {}

Counts::Slot& Counts::find(const Word& word) {
  for (std::size_t at = home(word.hash, slots_.size());; at = (at + 1) & (slots_.size() - 1)) {
    Slot& slot = slots_[at];
    if (slot.times == 0 || (slot.hash == word.hash && text_of(slot) == word.text)) return slot;
  }
}

void Counts::add(const Word& word, std::uint64_t times) {
  Slot* slot = &find(word);
  if (slot->times == 0) {
    if ((used_ + 1) * 4 > slots_.size() * 3) {
      grow();
      slot = &find(word);
    }
    *slot = {word.hash, 0, text_.size(), static_cast<std::uint8_t>(word.text.size())};
    text_.insert(text_.end(), word.text.begin(), word.text.end());
    ++used_;
  }
  slot->times += times;
}

void Counts::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Slot& slot : old)
    if (slot.times != 0) find({text_of(slot), slot.hash}) = slot;
}

Tally Counts::tally() const {
  Tally tally;
  for (const Slot& slot : slots_) tally.add(slot.hash, slot.times);
  return tally;
}

void Counts::for_each(const std::function<void(const Word&, std::uint64_t)>& each) const {
  for (const Slot& slot : slots_)
    if (slot.times != 0) each({text_of(slot), slot.hash}, slot.times);
}

std::vector<Counts::Row> Counts::sorted() const {
  std::vector<Row> rows;
  rows.reserve(used_);
  for_each([&](const Word& word, std::uint64_t times) { rows.push_back({word.text, times}); });
  std::ranges::sort(rows, [](const Row& a, const Row& b) {
    return a.times != b.times ? a.times > b.times : a.text < b.text;
  });
  return rows;
}

Counts Counts::top(std::size_t n) const {
  Counts most;
  auto rows = sorted();
  rows.resize(std::min(n, rows.size()));
  for (const Row& row : rows) {
    WordHash hash;
    for (const char byte : row.text) hash.add(byte);
    most.add({row.text, hash.value()}, row.times);
  }
  return most;
}

std::size_t encoded_bytes(std::string_view text, std::uint64_t times) {
  std::size_t bytes = 2 + text.size();
  while ((times >>= kVarintBits) != 0) ++bytes;
  return bytes;
}

std::span<std::byte> encode(std::string_view text, std::uint64_t times, std::span<std::byte> to) {
  std::size_t at = 0;
  for (; times >> kVarintBits != 0; times >>= kVarintBits)
    to[at++] = static_cast<std::byte>((times & 0x7f) | 0x80);
  to[at++] = static_cast<std::byte>(times);
  to[at++] = static_cast<std::byte>(text.size());
  std::memcpy(&to[at], text.data(), text.size());
  return to.subspan(at + text.size());
}

Status decode(std::span<const std::byte> from, Counts& into) {
  const auto cut = [] { return fail(Code::corrupt, "wordcount", "a partition of the counts is damaged"); };
  while (!from.empty()) {
    std::uint64_t times = 0;
    unsigned shift = 0;
    std::size_t at = 0;
    for (bool more = true; more; shift += kVarintBits) {
      if (at == from.size() || shift > 63) return cut();
      more = (from[at] & std::byte{0x80}) != std::byte{};
      times |= std::to_integer<std::uint64_t>(from[at++] & std::byte{0x7f}) << shift;
    }
    if (times == 0 || at == from.size()) return cut();
    const auto length = std::to_integer<std::size_t>(from[at++]);
    if (length == 0 || length > from.size() - at) return cut();
    const std::string_view text(reinterpret_cast<const char*>(&from[at]), length);
    WordHash hash;
    for (const char byte : text) hash.add(byte);
    into.add({text, hash.value()}, times);
    from = from.subspan(at + length);
  }
  return {};
}

}  // namespace wordcount
