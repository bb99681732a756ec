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

}  // namespace
}  // namespace holdfast::test
