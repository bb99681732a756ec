#include "src/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <thread>

#include "holdfast/base/check.h"
#include "holdfast/base/checksum.h"
#include "holdfast/base/clock.h"
#include "holdfast/base/random.h"
#include "holdfast/base/units.h"

namespace holdfast {
namespace {

using Words = std::array<std::uint64_t, 8>;

// Word 0 of every line: bits 0..23 version, in index lines 24..30 seed and 31 overflowed, 32..63 checksum.
constexpr std::uint64_t kVersionMask = 0xffffff;
constexpr unsigned kSeedShift = 24;
constexpr std::uint64_t kSeeds = 128;
constexpr std::uint64_t kOverflowed = 1ULL << 31;
constexpr std::uint64_t kIndexMask = 0xff000000;    // seed and overflowed
constexpr std::uint64_t kMutableMask = 0xffffffff;  // what the checksum covers of word 0

// Entry lines: key high and low, id high and low, location | kind, size, owner | flags.
constexpr std::uint64_t kKindMask = kCacheLine - 1;  // locations are multiples of a cache line

// Index lines: 14 references of 32 bits, the tag above, the distance + 1 below; 0 is free.
constexpr std::size_t kReferences = 14;
constexpr std::uint64_t kMostDistance = 65534;

// A line is written in some ten nanoseconds, but the owner may lose its core in between: readers spin, then
// yield.
constexpr int kSpins = 1 << 10;
// How often a look-up starts again because the owner has changed the bucket meanwhile.
constexpr int kFindAttempts = 1 << 16;

std::uint32_t line_checksum(const Words& words) noexcept {
  // Everything but word 0 by its bytes; of that, what is not the checksum itself, as the seed.
  return static_cast<std::uint32_t>(
      checksum(std::as_bytes(std::span(words).subspan<1>()), words[0] & kMutableMask));
}

/// A zeroed line was never written: valid, and empty.
bool line_valid(const Words& words) noexcept {
  if (words[0] >> 32 == line_checksum(words)) return true;
  return std::ranges::all_of(words, [](std::uint64_t word) { return word == 0; });
}

bool is_odd(std::uint64_t word0) noexcept { return (word0 & 1) != 0; }

std::uint64_t key_hash(const Key& key) noexcept { return KeyHash()(key); }

std::uint64_t seed_of(const Words& index) noexcept { return index[0] >> kSeedShift & (kSeeds - 1); }

std::uint32_t tag_of(std::uint64_t hash, std::uint64_t seed) noexcept {
  return static_cast<std::uint32_t>(mix64(hash + seed * 0x9e3779b97f4a7c15ULL) >> 48);
}

std::uint64_t bucket_of_hash(std::uint64_t hash, std::uint64_t buckets) noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(hash) * buckets) >> 64);
}

std::uint32_t reference(const Words& words, std::size_t i) noexcept {
  return static_cast<std::uint32_t>(words[1 + i / 2] >> (i % 2 * 32));
}
void set_reference(Words& words, std::size_t i, std::uint32_t value) noexcept {
  const unsigned shift = i % 2 * 32;
  std::uint64_t& word = words[1 + i / 2];
  word = (word & ~(0xffffffffULL << shift)) | static_cast<std::uint64_t>(value) << shift;
}

/// Where an index line has room for one more.
std::optional<std::size_t> free_reference(const Words& index) noexcept {
  for (std::size_t i = 0; i < kReferences; ++i)
    if (reference(index, i) == 0) return i;
  return std::nullopt;
}

/// The distance to the only entry that may have this key, if any.
std::optional<std::uint64_t> search_index(const Words& words, std::uint64_t hash) noexcept {
  const std::uint32_t tag = tag_of(hash, seed_of(words));
  for (std::size_t i = 0; i < kReferences; ++i) {
    const std::uint32_t found = reference(words, i);
    if (found >> 16 == tag && (found & 0xffff) != 0) return (found & 0xffff) - 1;
  }
  return std::nullopt;
}

bool has_key(const Words& words, const Key& key) noexcept {
  return words[1] == key.high && words[2] == key.low &&
         (words[5] & kKindMask) == static_cast<std::uint64_t>(key.kind);
}

Entry entry_of(const Words& words) noexcept {
  Entry entry;
  entry.id = {words[3], words[4]};
  entry.location = words[5] & ~kKindMask;
  entry.layout.size = words[6];
  entry.owner.value = static_cast<std::uint32_t>(words[7]);
  entry.layout.flags = static_cast<std::uint32_t>(words[7] >> 32);
  return entry;
}

Words words_of(const Key& key, const Entry& entry) noexcept {
  return {0,
          key.high,
          key.low,
          entry.id.high,
          entry.id.low,
          entry.location | static_cast<std::uint64_t>(key.kind),
          entry.layout.size,
          entry.owner.value | static_cast<std::uint64_t>(entry.layout.flags) << 32};
}

bool try_read_line(const CatalogueLine& line, Words& words) noexcept {
  words[0] = line[0].load(std::memory_order_acquire);
  if (is_odd(words[0])) return false;
  // Acquire, so that none of these can be taken after the second look at word 0.
  for (std::size_t i = 1; i < words.size(); ++i) words[i] = line[i].load(std::memory_order_acquire);
  return line[0].load(std::memory_order_relaxed) == words[0];
}

/// A consistent copy of a line that its owner may be writing. False if it never came to rest.
bool read_line(const CatalogueLine& line, Words& words, Duration patience) noexcept {
  for (int spin = 0; spin < kSpins; ++spin)
    if (try_read_line(line, words)) return true;
  const Deadline until = Deadline::after(real_clock(), patience);
  while (!until.passed(real_clock())) {
    std::this_thread::yield();
    if (try_read_line(line, words)) return true;
  }
  return false;
}

/// Replaces a line, and what its owner knows of it: odd version, the words, then the next even version with
/// the new checksum.
void write_line(CatalogueLine& line, Words& own, Words words) noexcept {
  const std::uint64_t before = own[0];
  const std::uint64_t version = before & kVersionMask;
  line[0].store((before & ~kVersionMask) | ((version + 1) & kVersionMask), std::memory_order_seq_cst);
  for (std::size_t i = 1; i < words.size(); ++i) line[i].store(words[i], std::memory_order_release);
  words[0] = (words[0] & kIndexMask) | ((version + 2) & kVersionMask);
  words[0] |= static_cast<std::uint64_t>(line_checksum(words)) << 32;
  line[0].store(words[0], std::memory_order_seq_cst);
  own = words;
}

}  // namespace

CatalogueGeometry CatalogueGeometry::for_entries(std::uint64_t entries) noexcept {
  // 80 % load at the number asked for.
  const std::uint64_t slots = entries + entries / 4 + 1;
  return {(slots + CatalogueBucket::kSlots - 1) / CatalogueBucket::kSlots};
}

std::uint64_t CatalogueGeometry::bucket_of(const Key& key) const noexcept {
  return bucket_of_hash(key_hash(key), buckets);
}

Key second_place(const Key& key) noexcept { return {mix64(key.high + 1), key.low, key.kind}; }

CatalogueLook CatalogueReader::look(const Key& key, Found& found, Duration patience) const noexcept {
  bool overflowed = false;
  const CatalogueLook first = look_at(key, found, overflowed, patience);
  if (first != CatalogueLook::absent || !overflowed) [[likely]]
    return first;
  return look_at(second_place(key), found, overflowed, patience);
}

/// Looks in the key's bucket alone; says whether that has overflowed, where the key is absent.
CatalogueLook CatalogueReader::look_at(const Key& key, Found& found, bool& overflowed,
                                       Duration patience) const noexcept {
  const auto never_rests = patience < kLongestPatience ? CatalogueLook::changing : CatalogueLook::damaged;
  const std::uint64_t hash = key_hash(key);
  const std::uint64_t home = bucket_of_hash(hash, geometry_.buckets);
  const CatalogueLine& index_line = buckets_[home].index;
  // Repeated only while the owner changes this very bucket.
  for (int attempt = 0; attempt < kFindAttempts; ++attempt) {
    Words words;
    if (!read_line(index_line, words, patience)) return never_rests;
    if (!line_valid(words)) return CatalogueLook::damaged;
    const std::uint64_t index_version = words[0];
    overflowed = (words[0] & kOverflowed) != 0;
    const auto distance = search_index(words, hash);
    if (!distance) return CatalogueLook::absent;
    const std::uint64_t slot = geometry_.slot_at(home, *distance);
    const CatalogueLine& line =
        buckets_[slot / CatalogueBucket::kSlots].slots[slot % CatalogueBucket::kSlots];
    if (!read_line(line, words, patience)) return never_rests;
    if (!line_valid(words)) return CatalogueLook::damaged;
    if (has_key(words, key)) {
      found.entry = entry_of(words);
      found.version = line.data();
      found.version_seen = words[0];
      return CatalogueLook::found;
    }
    // Another key with this tag, or the entry went while we looked: the index tells.
    if (index_line[0].load(std::memory_order_acquire) == index_version) return CatalogueLook::absent;
  }
  return CatalogueLook::damaged;
}

Result<std::optional<Found>> CatalogueReader::find(const Key& key, Duration patience) const {
  Found found;
  switch (look(key, found, patience)) {
    case CatalogueLook::found:
      return std::optional<Found>(found);
    case CatalogueLook::absent:
      return std::optional<Found>();
    case CatalogueLook::changing:
      return fail(Code::timed_out, "Catalogue::find",
                  "its owner stands still while it changes the entry; is it stopped?");
    case CatalogueLook::damaged:
      break;
  }
  return fail(Code::corrupt, "Catalogue::find",
              "a line of the owner's catalogue fails its checksum: its memory was overwritten, restart it");
}

RemoteLook look_in_bucket(std::span<const std::byte, sizeof(CatalogueBucket)> bytes, const Key& key,
                          const CatalogueGeometry& geometry) noexcept {
  Words index;
  std::memcpy(index.data(), bytes.data(), sizeof index);
  if (is_odd(index[0]) || !line_valid(index)) return {};
  const std::uint64_t hash = key_hash(key);
  const auto distance = search_index(index, hash);
  RemoteLook look;
  look.overflowed = (index[0] & kOverflowed) != 0;
  if (!distance) {
    look.says = RemoteLook::Says::absent;
    return look;
  }
  look.slot = geometry.slot_at(bucket_of_hash(hash, geometry.buckets), *distance);
  if (*distance >= CatalogueBucket::kSlots) {
    look.says = RemoteLook::Says::elsewhere;
    return look;
  }
  const RemoteLook in_slot = look_in_slot(
      bytes.subspan(sizeof(CatalogueLine) * (1 + *distance)).first<sizeof(CatalogueLine)>(), key);
  look.says = in_slot.says;
  look.entry = in_slot.entry;
  return look;
}

RemoteLook look_in_slot(std::span<const std::byte, sizeof(CatalogueLine)> bytes, const Key& key) noexcept {
  Words words;
  std::memcpy(words.data(), bytes.data(), sizeof words);
  RemoteLook look;
  if (is_odd(words[0]) || !line_valid(words)) return look;
  look.says = has_key(words, key) ? RemoteLook::Says::found : RemoteLook::Says::absent;
  look.entry = entry_of(words);
  return look;
}

Result<CatalogueWriter> CatalogueWriter::create(CatalogueBucket* buckets, CatalogueGeometry geometry) {
  static_assert(sizeof(OwnBucket) == sizeof(CatalogueBucket));
  constexpr std::string_view kWhat =
      "no memory for the owner's copy of the catalogue; ask for fewer entries (HOLDFAST_CATALOGUE)";
  HOLDFAST_TRY(auto own, make_zeroed_array<OwnBucket>(geometry.buckets, "Store::open", kWhat));
  HOLDFAST_TRY(auto used,
               make_zeroed_array<std::uint64_t>((geometry.slots() + 63) / 64, "Store::open", kWhat));
  return CatalogueWriter(buckets, geometry, std::move(own), std::move(used));
}

CatalogueWriter::CatalogueWriter(CatalogueBucket* buckets, CatalogueGeometry geometry,
                                 ZeroedArray<OwnBucket> own, ZeroedArray<std::uint64_t> used)
    : buckets_(buckets), geometry_(geometry), own_(std::move(own)), used_(std::move(used)) {
  // Slots beyond the end count as used, so that the search never finds them.
  for (std::uint64_t slot = geometry.slots(); slot < used_words() * 64; ++slot)
    used_[slot / 64] |= 1ULL << (slot % 64);
}

void CatalogueWriter::write_slot(std::uint64_t slot, const Words& words) {
  CatalogueBucket& bucket = buckets_[slot / CatalogueBucket::kSlots];
  write_line(bucket.slots[slot % CatalogueBucket::kSlots], own_line(slot), words);
}

void CatalogueWriter::write_index(std::uint64_t bucket, const Words& words) {
  write_line(buckets_[bucket].index, own_[bucket].index, words);
}

std::optional<std::uint64_t> CatalogueWriter::free_slot_near(std::uint64_t first) const {
  std::uint64_t word = first / 64;
  std::uint64_t free = ~used_[word] & (~0ULL << (first % 64));
  for (std::uint64_t looked = 0; looked <= kMostDistance; looked += 64) {
    if (free != 0) {
      const std::uint64_t slot = word * 64 + static_cast<std::uint64_t>(std::countr_zero(free));
      const std::uint64_t distance = slot >= first ? slot - first : slot + geometry_.slots() - first;
      if (distance > kMostDistance) return std::nullopt;
      return slot;
    }
    word = word + 1 == used_words() ? 0 : word + 1;
    free = ~used_[word];
  }
  return std::nullopt;
}

std::optional<std::uint64_t> CatalogueWriter::slot_of(const Key& key) const {
  if (const auto slot = slot_at(key)) return slot;
  const Words& index = own_[geometry_.bucket_of(key)].index;
  return (index[0] & kOverflowed) != 0 ? slot_at(second_place(key)) : std::nullopt;
}

std::optional<std::uint64_t> CatalogueWriter::slot_at(const Key& key) const {
  const std::uint64_t hash = key_hash(key);
  const std::uint64_t home = bucket_of_hash(hash, geometry_.buckets);
  const auto distance = search_index(own_[home].index, hash);
  if (!distance) return std::nullopt;
  const std::uint64_t slot = geometry_.slot_at(home, *distance);
  return has_key(own_line(slot), key) ? std::optional(slot) : std::nullopt;
}

Entry CatalogueWriter::read(std::uint64_t slot) const { return entry_of(own_line(slot)); }

/// Adds a reference whose tag is taken: finds another seed under which all tags of the bucket differ. False
/// after all 128 seeds: with 14 entries a seed fails with probability 0.16 %, so never.
bool CatalogueWriter::retag(std::uint64_t home, std::uint64_t newcomer, std::uint64_t distance) {
  const Words& before = own_[home].index;
  std::array<std::uint64_t, kReferences + 1> hashes{};
  std::array<std::uint32_t, kReferences + 1> distances{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < kReferences; ++i) {
    const std::uint32_t low = reference(before, i) & 0xffff;
    if (low == 0) continue;
    const Words words = own_line(geometry_.slot_at(home, low - 1));
    hashes[count] = key_hash({words[1], words[2], static_cast<Key::Kind>(words[5] & kKindMask)});
    distances[count++] = low;
  }
  hashes[count] = newcomer;
  distances[count++] = static_cast<std::uint32_t>(distance + 1);

  const std::uint64_t seed = seed_of(before);
  for (std::uint64_t step = 1; step < kSeeds; ++step) {
    Words after{((seed + step) % kSeeds) << kSeedShift | (before[0] & kOverflowed)};
    bool distinct = true;
    for (std::size_t i = 0; i < count && distinct; ++i) {
      const std::uint32_t tag = tag_of(hashes[i], (seed + step) % kSeeds);
      for (std::size_t j = 0; j < i; ++j) distinct = distinct && reference(after, j) >> 16 != tag;
      set_reference(after, i, tag << 16 | distances[i]);
    }
    if (!distinct) continue;
    write_index(home, after);
    return true;
  }
  return false;
}

Result<std::uint64_t> CatalogueWriter::insert(const Key& key, const Entry& entry) {
  const std::uint64_t home = geometry_.bucket_of(key);
  Words index = own_[home].index;
  const bool overflowed = (index[0] & kOverflowed) != 0;
  if (overflowed && slot_of(key))
    return fail(Code::exists, "Catalogue::insert", "the key is in the catalogue already");
  if (free_reference(index)) [[likely]]
    return insert_at(key, entry);
  if (!overflowed) {
    // Before the entry is there, so that whoever is told of it finds it.
    index[0] |= kOverflowed;
    write_index(home, index);
  }
  return insert_at(second_place(key), entry);
}

/// Enters the key into its own bucket.
Result<std::uint64_t> CatalogueWriter::insert_at(const Key& key, const Entry& entry) {
  const std::uint64_t hash = key_hash(key);
  const std::uint64_t home = bucket_of_hash(hash, geometry_.buckets);
  const std::uint64_t first = home * CatalogueBucket::kSlots;
  Words index = own_[home].index;
  const auto same_tag = search_index(index, hash);
  if (same_tag && has_key(own_line(geometry_.slot_at(home, *same_tag)), key))
    return fail(Code::exists, "Catalogue::insert", "the key is in the catalogue already");
  const auto refuse = [&](std::string_view why) {
    return fail(
        Code::full, "Catalogue::insert",
        fmt::format("{}: {} of {} entries are used; erase objects or names, or open the store with more "
                    "catalogue_entries (HOLDFAST_CATALOGUE)",
                    why, entries_, geometry_.capacity()));
  };
  if (entries_ >= geometry_.capacity()) return refuse("the catalogue is full");
  const auto position = free_reference(index);
  if (!position) return refuse("two buckets of the catalogue are full");
  const auto slot = free_slot_near(first);
  if (!slot) return refuse("the catalogue has no free slot near enough");

  const std::uint64_t distance = *slot >= first ? *slot - first : *slot + geometry_.slots() - first;
  // The entry first: a reader who finds it through the index finds it whole.
  write_slot(*slot, words_of(key, entry));
  if (same_tag) {
    HOLDFAST_CHECK(retag(home, hash, distance), "no seed makes the tags of a bucket distinct");
  } else {
    const std::uint32_t tag = tag_of(hash, seed_of(index));
    set_reference(index, *position, tag << 16 | static_cast<std::uint32_t>(distance + 1));
    write_index(home, index);
  }
  used_[*slot / 64] |= 1ULL << (*slot % 64);
  ++entries_;
  return *slot;
}

void CatalogueWriter::move(std::uint64_t slot, std::uint64_t location) {
  Words words = own_line(slot);
  words[5] = location | (words[5] & kKindMask);
  write_slot(slot, words);
}

void CatalogueWriter::remove(const Key& key) {
  if (!slot_at(key)) return remove_at(second_place(key));
  remove_at(key);
}

void CatalogueWriter::remove_at(const Key& key) {
  const auto slot = slot_at(key);
  HOLDFAST_CHECK(slot.has_value(), "removing a key that is not in the catalogue");
  const std::uint64_t home = geometry_.bucket_of(key), first = home * CatalogueBucket::kSlots;
  const std::uint64_t distance = *slot >= first ? *slot - first : *slot + geometry_.slots() - first;
  Words index = own_[home].index;
  for (std::size_t i = 0; i < kReferences; ++i)
    if ((reference(index, i) & 0xffff) == distance + 1) set_reference(index, i, 0);
  write_index(home, index);
  write_slot(*slot, Words{});
  used_[*slot / 64] &= ~(1ULL << (*slot % 64));
  --entries_;
}

}  // namespace holdfast
