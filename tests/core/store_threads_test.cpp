// One store, many threads.
#include <atomic>
#include <mutex>

#include "tests/core/store_fixture.h"

namespace holdfast::test {
namespace {

using StoreThreadsTest = StoreTest;

/// Runs `work(index)` in `count` threads and waits for all.
template <class Work>
void in_threads(std::uint64_t count, Work work) {
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < count; ++i) threads.emplace_back([&work, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(StoreThreadsTest, EachWorksAsIfAlone) {
  Store store = open();
  in_threads(4, [&](std::uint64_t thread) {
    for (std::uint64_t i = 0; i < 300; ++i) {
      const std::uint64_t seed = thread << 32 | i, size = mix64(seed) % 20000;
      const Name own = name("thread", thread, i);
      const auto ref = store.put(own, pattern(size, seed));
      ASSERT_TRUE(good(ref));
      const auto pin = i % 2 == 0 ? store.get(own, kLong) : store.get(*ref, kLong);
      ASSERT_TRUE(good(pin));
      ASSERT_EQ(pin->size(), size);
      ASSERT_TRUE(is_pattern(pin->bytes(), seed));
      if (i % 3 != 0) {
        ASSERT_TRUE(good(i % 2 == 0 ? store.erase(own, kLong) : store.erase(*ref, kLong)));
      }
    }
  });
  const Stats stats = store.stats();
  EXPECT_EQ(stats.puts, 1200U);
  EXPECT_EQ(stats.objects, 400U);
  EXPECT_EQ(stats.names, 400U);
  EXPECT_EQ(stats.corrupt, 0U);
}

TEST_F(StoreThreadsTest, OfAllWhoGiveANameOneSucceeds) {
  Store store = open();
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> given{0}, taken{0};
    in_threads(3, [&](std::uint64_t thread) {
      const auto ref = store.put(name("contested", round), pattern(100, thread));
      (ref ? given : taken).fetch_add(1);
      if (!ref) {
        EXPECT_TRUE(fails(ref, Code::exists));
      }
    });
    EXPECT_EQ(given.load(), 1);
    EXPECT_EQ(taken.load(), 2);
  }
  EXPECT_EQ(store.stats().objects, 50U);
}

TEST_F(StoreThreadsTest, AllWhoWaitForANameAreWoken) {
  Store store = open();
  in_threads(5, [&](std::uint64_t thread) {
    if (thread == 0) {
      EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 4; }));
      EXPECT_TRUE(good(store.put(name("horn"), pattern(10, 1))));
    } else {
      EXPECT_TRUE(good(store.get(name("horn"), kLong)));
    }
  });
  EXPECT_EQ(store.stats().waiters, 0U);
}

TEST_F(StoreThreadsTest, MoreThreadsThanReadingEndpointsShareThem) {
  StoreOptions options = small_options();
  options.reading_endpoints = 1;
  Store store = open(options);
  in_threads(4, [&](std::uint64_t thread) {
    for (std::uint64_t i = 0; i < 20; ++i) {
      // Each waits for the next one's name, all on one endpoint.
      ASSERT_TRUE(good(store.put(name("ring", thread, i), pattern(64, i))));
      const auto pin = store.get(name("ring", (thread + 1) % 4, i), kLong);
      ASSERT_TRUE(good(pin));
      ASSERT_TRUE(is_pattern(pin->bytes(), i));
    }
  });
}

TEST_F(StoreThreadsTest, NoByteChangesUnderAPinWhileObjectsComeAndGo) {
  constexpr std::uint64_t kPlaces = 8, kSize = 4096;
  constexpr int kRounds = 5000;
  StoreOptions options = small_options();
  options.arena.bytes = 4_MiB;  // memory is used again at once
  options.catalogue_entries = 256;
  Store store = open(options);
  struct Place {
    std::mutex mutex;
    ObjectRef ref;
    std::uint64_t seed = 0;
  };
  std::array<Place, kPlaces> places;
  for (std::uint64_t i = 0; i < kPlaces; ++i) places[i].ref = put(store, kSize, places[i].seed = i);

  std::atomic<int> owners{2};
  std::atomic<std::uint64_t> pinned{0}, changed{0}, strange{0};
  in_threads(5, [&](std::uint64_t thread) {
    Dice dice(thread);
    if (thread < 2) {
      for (int round = 0; round < kRounds; ++round) {
        Place& place = places[dice.below(kPlaces)];
        const std::uint64_t seed = dice.next();
        const std::lock_guard lock(place.mutex);
        // The reader may have the reference already: erasing races with its get.
        if (!store.erase(place.ref, kLong)) strange.fetch_add(1);
        auto ref = store.put(pattern(kSize, seed));
        if (!ref) strange.fetch_add(1);
        place.ref = ref.value_or(ObjectRef());
        place.seed = seed;
      }
      owners.fetch_sub(1);
      return;
    }
    while (owners.load() != 0 || pinned.load() == 0) {
      Place& place = places[dice.below(kPlaces)];
      place.mutex.lock();
      const ObjectRef ref = place.ref;
      const std::uint64_t seed = place.seed;
      place.mutex.unlock();
      // The last ones look at the payload only themselves, so that a checksum cannot hide a change.
      const Verify verify = thread == 2 ? Verify::always : Verify::never;
      const auto pin = store.get(ref, kLong, {.verify = verify, .missing = GetOptions::Missing::fail});
      if (!pin) {
        if (pin.error().code != Code::not_found) strange.fetch_add(1);
        continue;
      }
      pinned.fetch_add(1);
      for (int look = 0; look < 3; ++look) {
        if (!is_pattern(pin->bytes(), seed)) changed.fetch_add(1);
        std::this_thread::yield();
      }
    }
  });
  EXPECT_EQ(changed.load(), 0U);
  EXPECT_EQ(strange.load(), 0U);
  EXPECT_EQ(store.stats().corrupt, 0U);
  EXPECT_TRUE(comes_true([&] { return store.stats().blocks_awaiting_unpin == 0; }));
}

}  // namespace
}  // namespace holdfast::test
