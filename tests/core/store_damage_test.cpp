// Memory that was overwritten: found out, and never handed out.
#include "src/peers.h"
#include "tests/core/damage.h"
#include "tests/core/store_fixture.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kSize = 3 * 64 * 1024 + 100;

class StoreDamageTest : public StoreTest {};

TEST_F(StoreDamageTest, AFlippedByteOfThePayloadIsCorrupt) {
  Store store = open();
  const ObjectRef ref = put(store, kSize, 1);
  std::byte* const payload = payload_of(store, ref);
  std::vector<std::byte> buffer(kSize);
  std::uint64_t found = 0;
  for (const std::uint64_t at : {0ULL, 64ULL * 1024 - 1, 64ULL * 1024, 150000ULL, kSize - 1ULL}) {
    payload[at] ^= std::byte{0x10};
    EXPECT_TRUE(fails(store.get(ref, 0s), Code::corrupt, ref.id().to_hex())) << at;
    EXPECT_TRUE(fails(store.get_into(ref, buffer, 0s), Code::corrupt)) << at;
    EXPECT_TRUE(fails(store.fetch(ref).wait(0s), Code::corrupt)) << at;
    EXPECT_TRUE(fails(store.get_many(std::vector{ref}, 0s)[0], Code::corrupt)) << at;
    EXPECT_TRUE(fails(store.get(ref, ByteRange{at, 1}, 0s), Code::corrupt)) << at;
    found += 5;
    EXPECT_EQ(store.stats().corrupt, found);
    payload[at] ^= std::byte{0x10};
    EXPECT_TRUE(good(store.get(ref, 0s)));
  }
  EXPECT_EQ(store.stats().blocks_awaiting_unpin, 0U);
  ASSERT_TRUE(good(store.erase(ref, 0s)));
  EXPECT_TRUE(comes_true([&] { return store.stats().blocks_awaiting_unpin == 0; }))
      << "a failed get keeps no pin";
}

TEST_F(StoreDamageTest, ARangeAwayFromTheDamageIsGood) {
  Store store = open();
  const ObjectRef ref = put(store, kSize, 1);
  payload_of(store, ref)[100000] ^= std::byte{1};  // in chunk 1
  EXPECT_TRUE(good(store.get(ref, ByteRange{0, 65536}, 0s)));
  EXPECT_TRUE(good(store.get(ref, ByteRange{131072, kSize - 131072}, 0s)));
  EXPECT_TRUE(fails(store.get(ref, ByteRange{131071, 2}, 0s), Code::corrupt));
}

TEST_F(StoreDamageTest, WhoChoosesNotToLookIsGivenThePayloadAsItIs) {
  Store store = open();
  const ObjectRef ref = put(store, kSize, 1);
  payload_of(store, ref)[5] ^= std::byte{1};
  EXPECT_TRUE(good(store.get(ref, 0s, {.verify = Verify::never})));
  EXPECT_TRUE(good(store.get(ref, 0s, {.verify = Verify::remote})));
  EXPECT_TRUE(fails(store.get(ref, 0s, {.verify = Verify::always}), Code::corrupt));
  const ObjectRef unsummed = put(store, kSize, 2, {.checksum = PutOptions::Checksum::off});
  payload_of(store, unsummed)[5] ^= std::byte{1};
  EXPECT_TRUE(good(store.get(unsummed, 0s, {.verify = Verify::always})));

  StoreOptions options = small_options();
  options.verify = Verify::never;
  Store trusting = open(options);
  const ObjectRef other = put(trusting, kSize, 3);
  payload_of(trusting, other)[5] ^= std::byte{1};
  EXPECT_TRUE(good(trusting.get(other, 0s)));
  EXPECT_TRUE(fails(trusting.get(other, 0s, {.verify = Verify::always}), Code::corrupt));
}

TEST_F(StoreDamageTest, AFlippedByteOfHeaderOrTableIsCorruptForEverybody) {
  Store store = open();
  const ObjectRef ref = put(store, kSize, 1);
  std::byte* const block = block_of(store, ref);
  const BlockLayout layout{ref.size(), BlockLayout::make_flags(true, 64)};
  for (std::uint64_t at = 0; at < kBlockHeaderBytes + layout.table_bytes(); ++at) {
    block[at] ^= std::byte{0x40};
    EXPECT_TRUE(fails(store.get(ref, 0s, {.verify = Verify::never}), Code::corrupt)) << at;
    block[at] ^= std::byte{0x40};
  }
  EXPECT_TRUE(good(store.get(ref, 0s)));
}

TEST_F(StoreDamageTest, AFlippedByteOfTheCatalogueEntryIsCorruptForWhoLooksThere) {
  Store store = open();
  const ObjectRef ref = put(store, kSize, 1), other = put(store, 100, 2);
  std::byte* const entry = entry_of(store, ref);
  std::byte* const block = block_of(store, ref);
  for (std::uint64_t at = 0; at < sizeof(CatalogueLine); ++at) {
    entry[at] ^= std::byte{0x02};
    EXPECT_TRUE(fails(store.contains(ref, 0s), Code::corrupt)) << at;
    EXPECT_TRUE(good(store.get(ref, 0s))) << "a reference tells where the object lies";
    block[8] ^= std::byte{1};  // it does not look like the object: the catalogue is asked
    EXPECT_TRUE(fails(store.get(ref, 0s, {.verify = Verify::never}), Code::corrupt, "catalogue")) << at;
    block[8] ^= std::byte{1};
    EXPECT_TRUE(good(store.get(other, 0s)));
    entry[at] ^= std::byte{0x02};
  }
  EXPECT_TRUE(good(store.get(ref, 0s)));
}

TEST_F(StoreDamageTest, AFlippedByteOfANamesEntryIsCorrupt) {
  Store store = open();
  const auto ref = store.put(name("damaged"), pattern(100, 1));
  ASSERT_TRUE(good(ref));
  std::byte* const entry = entry_of(store, *ref, key_of(name("damaged")).value());
  for (std::uint64_t at = 0; at < sizeof(CatalogueLine); ++at) {
    entry[at] ^= std::byte{0x02};
    EXPECT_TRUE(fails(store.get(name("damaged"), 0s), Code::corrupt)) << at;
    EXPECT_TRUE(fails(store.lookup(name("damaged"), 0s), Code::corrupt)) << at;
    entry[at] ^= std::byte{0x02};
  }
  EXPECT_TRUE(good(store.get(name("damaged"), 0s)));
}

TEST_F(StoreDamageTest, AnEraseGoesByWhatTheOwnerKnowsNotByADamagedEntry) {
  Store store = open();
  const ObjectRef other = put(store, kSize, 7);
  for (std::size_t at = 0; at < sizeof(CatalogueLine); ++at) {
    const std::uint64_t used = store.stats().nodes.front().bytes_used;
    const ObjectRef ref = put(store, kSize, at), next = put(store, kSize, at + 1);
    std::byte* const entry = entry_of(store, ref);
    entry[at] ^= std::byte{0x42};
    const std::uintptr_t bucket = reinterpret_cast<std::uintptr_t>(entry) & ~(sizeof(CatalogueBucket) - 1);
    reinterpret_cast<std::byte*>(bucket)[at] ^= std::byte{0x42};  // and its index line
    ASSERT_TRUE(good(store.erase(ref, 0s))) << at;
    EXPECT_TRUE(fails(store.get(ref, 0s), Code::not_found)) << at;
    EXPECT_TRUE(is_pattern(store.get(next, 0s).value().bytes(), at + 1)) << at;
    ASSERT_TRUE(good(store.erase(next, 0s))) << at;
    EXPECT_EQ(store.stats().nodes.front().bytes_used, used) << at;
  }
  EXPECT_TRUE(is_pattern(store.get(other, 0s).value().bytes(), 7));
}

TEST_F(StoreDamageTest, WhatLiesWhereADamagedEntryPointsIsNotTouched) {
  Store store = open();
  const ObjectRef ref = put(store, kSize, 1), victim = put(store, kSize, 2);
  auto* const words = reinterpret_cast<std::uint64_t*>(entry_of(store, ref));
  const auto* const others = reinterpret_cast<const std::uint64_t*>(entry_of(store, victim));
  words[5] = others[5];
  ASSERT_TRUE(good(store.erase(ref, 0s)));
  EXPECT_TRUE(is_pattern(store.get(victim, 0s).value().bytes(), 2));
}

TEST_F(StoreDamageTest, EvictionAndMovingGoByWhatTheOwnerKnows) {
  Store store = open();
  std::vector<ObjectRef> refs;
  for (auto ref = store.put(pattern(1_MiB, 0), no_wait()); ref;
       ref = store.put(pattern(1_MiB, refs.size()), no_wait()))
    refs.push_back(std::move(*ref));
  std::vector<std::uint64_t*> entries;
  for (const ObjectRef& ref : refs) entries.push_back(reinterpret_cast<std::uint64_t*>(entry_of(store, ref)));
  for (std::size_t i = 0; i < refs.size(); ++i) entries[i][1 + i % 7] ^= 0x10040;
  // Every second one becomes cached and is evicted, the rest is moved together.
  for (std::size_t i = 0; i < refs.size(); i += 2) refs[i] = {};
  ASSERT_TRUE(good(store.put(pattern(16_MiB, 1000), no_wait())));
  EXPECT_GT(store.stats().evictions, 0U);
  EXPECT_GT(store.stats().moved, 0U);
  for (std::size_t i = 1; i < refs.size(); i += 2) {
    const auto pin = store.get(refs[i], 0s);
    ASSERT_TRUE(good(pin)) << i;
    EXPECT_TRUE(is_pattern(pin->bytes(), i)) << i;
  }
}

TEST_F(StoreDamageTest, ANameStaysTakenThoughTheIndexIsDamagedAndIsGoodAgainWhereItIsWritten) {
  Store store = open();
  const auto ref = store.put(name("once"), pattern(100, 1));
  ASSERT_TRUE(good(ref));
  std::byte* const entry = entry_of(store, *ref, key_of(name("once")).value());
  std::byte* const index =
      reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(entry) & ~(sizeof(CatalogueBucket) - 1));
  for (std::size_t at = 0; at < sizeof(CatalogueLine); ++at) {
    index[at] ^= std::byte{0x42};
    EXPECT_TRUE(fails(store.put(name("once"), pattern(100, 2)), Code::exists)) << at;
    EXPECT_TRUE(fails(store.lookup(name("once"), 0s), Code::corrupt)) << at;
    index[at] ^= std::byte{0x42};
  }
  EXPECT_TRUE(is_pattern(store.get(name("once"), 0s).value().bytes(), 1));
  for (std::size_t at = 0; at < sizeof(CatalogueLine); ++at) entry[at] ^= std::byte{0x42};
  ASSERT_TRUE(good(store.erase(*ref, 0s)));
  const auto again = store.put(name("once"), pattern(100, 3));
  ASSERT_TRUE(good(again));
  EXPECT_TRUE(is_pattern(store.get(name("once"), 0s).value().bytes(), 3));
}

}  // namespace
}  // namespace holdfast::test
