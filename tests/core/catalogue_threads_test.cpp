// The catalogue while its owner changes it: readers see an entry whole or not at all.
#include <atomic>
#include <memory>
#include <thread>

#include "src/catalogue.h"
#include "tests/core/expect.h"

namespace holdfast {
namespace {

// One bucket in two holds a key that stays; between them others come and go.
constexpr std::uint64_t kKeys = 64;
constexpr int kChanges = 100000;
constexpr int kReaders = 3;

Key key_number(std::uint64_t n) { return {mix64(n), n, Key::Kind::object}; }
bool stays(std::uint64_t n) { return n % 2 == 0; }

/// Every field follows from the key and the round, so that a mixture of two rounds shows.
Entry entry_of(const Key& key, std::uint64_t round) {
  const std::uint64_t location = (round % (1ULL << 30)) * 64;
  return {{key.high, key.low},
          location,
          {mix64(location), static_cast<std::uint32_t>(location)},
          MemberId{static_cast<std::uint32_t>(mix64(location + 1))}};
}
bool whole(const Key& key, const Entry& entry) { return entry == entry_of(key, entry.location / 64); }

TEST(CatalogueThreadsTest, ReadersFindWhatStaysAndNeverHalfAnEntry) {
  // Small: readers and writer meet in every bucket, and entries lie beyond their home.
  const CatalogueGeometry geometry = CatalogueGeometry::for_entries(kKeys);
  const auto buckets = std::make_unique<CatalogueBucket[]>(geometry.buckets);
  CatalogueWriter writer = CatalogueWriter::create(buckets.get(), geometry).value();
  for (std::uint64_t n = 0; n < kKeys; ++n)
    if (stays(n)) {
      ASSERT_TRUE(test::good(writer.insert(key_number(n), entry_of(key_number(n), n))));
    }

  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> torn{0}, missed{0}, failed{0}, found_churning{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < kReaders; ++i)
    readers.emplace_back([&, i] {
      const CatalogueReader reader(buckets.get(), geometry);
      test::Dice dice(static_cast<std::uint64_t>(i));
      while (!done.load()) {
        const std::uint64_t n = dice.below(kKeys);
        const auto found = reader.find(key_number(n));
        if (!found) {
          failed.fetch_add(1);
        } else if (!*found) {
          if (stays(n)) missed.fetch_add(1);
        } else {
          if (!whole(key_number(n), (*found)->entry)) torn.fetch_add(1);
          if (!stays(n)) found_churning.fetch_add(1);
        }
      }
    });
  test::Dice dice(99);
  std::vector<bool> there(kKeys);
  for (int change = 0; change < kChanges; ++change) {
    const std::uint64_t n = dice.below(kKeys / 2) * 2 + 1;
    if (there[n])
      writer.remove(key_number(n));
    else
      ASSERT_TRUE(test::good(
          writer.insert(key_number(n), entry_of(key_number(n), static_cast<std::uint64_t>(change)))));
    there[n] = !there[n];
  }
  // The readers must have met the changes, or this has shown nothing.
  while (found_churning.load() == 0) std::this_thread::yield();
  done.store(true);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn.load(), 0U) << "entries of mixed rounds";
  EXPECT_EQ(missed.load(), 0U) << "entries that were there were not found";
  EXPECT_EQ(failed.load(), 0U) << "a line under change was taken for damaged";
}

}  // namespace
}  // namespace holdfast
