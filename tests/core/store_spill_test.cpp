// Objects that go to disk and come back, in one process.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "tests/core/store_fixture.h"
#include "tests/core/temporary_directory.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

class StoreSpillTest : public StoreTest {
 protected:
  StoreOptions spilling_options() const {
    StoreOptions options = small_options();
    options.lifetime.spill.directories = {directory_.path()};
    return options;
  }
  std::size_t files() const { return directory_.files().size(); }

  TemporaryDirectory directory_;
};

TEST_F(StoreSpillTest, FourTimesTheArenaIsPutAndReadBackInEveryWay) {
  Store store = open(spilling_options());
  constexpr std::uint64_t kCount = 128, kSize = 2_MiB;
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    PutOptions options;
    if (i % 5 == 0) options.checksum = PutOptions::Checksum::off;
    refs.push_back(put(store, kSize + i, i, options));
    ASSERT_TRUE(refs.back()) << i;
  }
  EXPECT_GT(store.stats().on_disk, kCount / 2);
  EXPECT_EQ(store.stats().objects, kCount);
  Dice random(1);
  std::vector<std::byte> buffer(kSize + kCount);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t i = random.below(kCount);
    switch (round % 4) {
      case 0: {
        const auto pin = store.get(refs[i], kLong);
        ASSERT_TRUE(good(pin)) << i;
        ASSERT_TRUE(pin->size() == kSize + i && is_pattern(pin->bytes(), i)) << i;
        break;
      }
      case 1: {
        const auto pin = store.get(refs[i], ByteRange{100'000, 70'000}, kLong);
        ASSERT_TRUE(good(pin)) << i;
        ASSERT_TRUE(is_pattern(pin->bytes(), i, 100'000)) << i;
        break;
      }
      case 2:
        ASSERT_EQ(store.get_into(refs[i], buffer, kLong), Result<std::uint64_t>(kSize + i)) << i;
        ASSERT_TRUE(is_pattern(std::span(buffer).first(kSize + i), i)) << i;
        break;
      default: {
        Op<Pin> op = store.fetch(refs[i]);
        const auto pin = std::move(op).wait(kLong);
        ASSERT_TRUE(good(pin)) << i;
        ASSERT_TRUE(is_pattern(pin->bytes(), i)) << i;
      }
    }
  }
  EXPECT_GT(store.stats().restores, 50U);
  EXPECT_EQ(store.stats().restore_times.count, store.stats().restores);
  EXPECT_EQ(store.stats().nodes.front().restores, store.stats().restores);
  EXPECT_EQ(store.stats().nodes.front().spills, store.stats().spills);
  EXPECT_GT(store.stats().gets_from_disk, 50U);
  EXPECT_LT(store.stats().hit_ratio(), 0.9);
  EXPECT_NE(store.why(refs[0], kLong).value().find("spilled"), std::string::npos);
  const auto ready = store.wait(refs, kCount, 0s);
  ASSERT_TRUE(good(ready));
  EXPECT_EQ(ready->ready.size(), kCount) << "what is on disk is ready";
  EXPECT_TRUE(refs.front().is_ready());

  const auto some = std::span(refs).first(16);
  EXPECT_TRUE(good(store.prefetch(some)));
  const auto pins = store.get_many(some, kLong);
  for (std::uint64_t i = 0; i < pins.size(); ++i) {
    ASSERT_TRUE(good(pins[i])) << i;
    EXPECT_TRUE(is_pattern(pins[i]->bytes(), i)) << i;
  }
}

TEST_F(StoreSpillTest, WithoutTimeTheDiskIsNotWaitedForAndPrefetchBrings) {
  Store store = open(spilling_options());
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 48; ++i) refs.push_back(put(store, 2_MiB, i));
  EXPECT_GT(store.stats().on_disk, 0U);
  const std::span first(refs.data(), 1);  // put longest ago
  EXPECT_TRUE(fails(store.get(first[0], 0s), Code::timed_out, "back from disk"));
  EXPECT_TRUE(fails(store.get_many(first, 0s).at(0), Code::timed_out));
  EXPECT_TRUE(good(store.prefetch(first)));
  EXPECT_TRUE(comes_true([&] { return store.stats().restores > 0; }));
  const auto pin = store.get(first[0], kLong);
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 0));
}

TEST_F(StoreSpillTest, NothingIsLeftOnceAllIsDroppedOrTheStoreIsClosed) {
  {
    Store store = open(spilling_options());
    const std::uint64_t used = store.stats().nodes.front().bytes_used;
    {
      std::vector<ObjectRef> refs;
      for (std::uint64_t i = 0; i < 40; ++i) refs.push_back(put(store, 4_MiB, i));
      EXPECT_GT(store.stats().on_disk, 0U);
    }
    EXPECT_TRUE(comes_true([&] { return store.stats().on_disk == 0; }));
    EXPECT_TRUE(comes_true([&] { return store.stats().spill_directories.front().bytes_live == 0; }));
    // The cached rest goes for new objects, and is not written.
    EXPECT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
    const std::uint64_t spills = store.stats().spills;
    const ObjectRef large = put(store, 50_MiB, 1);
    EXPECT_EQ(store.stats().spills, spills);
    ASSERT_TRUE(good(store.erase(large, 0s)));
    EXPECT_TRUE(comes_true([&] {
      const Stats stats = store.stats();
      return stats.objects == stats.cached && stats.nodes.front().bytes_used - stats.cached_bytes == used;
    }));
    const std::vector<ObjectRef> again = {put(store, 30_MiB, 1), put(store, 30_MiB, 2),
                                          put(store, 30_MiB, 3)};
    EXPECT_GT(files(), 0U);
  }
  EXPECT_EQ(files(), 0U);
}

TEST_F(StoreSpillTest, WhatIsPinnedStaysInMemoryAndWhatIsErasedMeanwhileIsGone) {
  Store store = open(spilling_options());
  const ObjectRef pinned = put(store, 20_MiB, 1);
  auto pin = store.get(pinned, 0s);
  ASSERT_TRUE(good(pin));
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 60; ++i) {
    refs.push_back(put(store, 3_MiB, i));
    if (i % 3 == 0) {
      ASSERT_TRUE(good(store.erase(refs.back(), 0s)));
    }
  }
  EXPECT_TRUE(is_pattern(pin->bytes(), 1));
  for (std::uint64_t i = 0; i < refs.size(); ++i) {
    const auto got = store.get(refs[i], kLong);
    if (i % 3 == 0) {
      EXPECT_TRUE(fails(got, Code::not_found)) << i;
    } else {
      ASSERT_TRUE(good(got)) << i;
      EXPECT_TRUE(is_pattern(got->bytes(), i)) << i;
    }
  }
}

TEST_F(StoreSpillTest, PinnedBeyondCapacityIsFullAndReleasingHelps) {
  Store store = open(spilling_options());
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 12; ++i) refs.push_back(put(store, 10_MiB, i));
  std::vector<Pin> pins;
  Result<Pin> pin = fail(Code::invalid, "", "");
  for (const ObjectRef& ref : refs) {
    pin = store.get(ref, 3s);
    if (!pin) break;
    pins.push_back(std::move(*pin));
  }
  EXPECT_TRUE(fails(pin, Code::timed_out, "from disk"));
  EXPECT_GE(pins.size(), 4U);
  EXPECT_TRUE(fails(store.put(pattern(10_MiB, 1), no_wait()), Code::full));
  EXPECT_TRUE(good(store.put(pattern(1000, 1)))) << "nobody waits any more for what has no room to come back";
  pins.clear();
  for (std::uint64_t i = 0; i < refs.size(); ++i)
    EXPECT_TRUE(is_pattern(store.get(refs[i], kLong).value().bytes(), i)) << i;
}

TEST_F(StoreSpillTest, ThreadsThatGetAndPutAtOnceSeeEveryByte) {
  StoreOptions options = spilling_options();
  Store store = open(options);
  constexpr std::uint64_t kCount = 200, kSize = 1_MiB;
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < kCount; ++i) refs.push_back(put(store, kSize, i));
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Dice random(t);
      for (int round = 0; round < 150; ++round) {
        const std::uint64_t i = random.below(kCount);
        const auto pin = store.get(refs[i], kLong);
        ASSERT_TRUE(good(pin)) << i;
        ASSERT_TRUE(is_pattern(pin->bytes(), i)) << i;
        if (round % 10 == 0) put(store, kSize, 1000 + i);  // dropped at once
      }
    });
  threads.clear();
  EXPECT_GT(store.stats().restores, 0U);
  EXPECT_EQ(store.stats().corrupt, 0U);
}

TEST_F(StoreSpillTest, AHandleMayGoWhileItsObjectIsWritten) {
  Store store = open(spilling_options());
  constexpr std::uint64_t kCount = 200, kSize = 1_MiB;
  std::vector<ObjectRef> refs, others;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    refs.push_back(put(store, kSize, i));
    others.push_back(store.redeem(refs.back().token()).value());
    // One of two handles of an object that is being written by now, or soon is.
    if (i >= 40) others[i - 40] = ObjectRef();
  }
  others.clear();
  for (std::uint64_t i = 0; i < kCount; ++i)
    ASSERT_TRUE(is_pattern(store.get(refs[i], kLong).value().bytes(), i)) << i;
}

TEST_F(StoreSpillTest, AnAlteredFileIsCorruptAndNamesTheFile) {
  Store store = open(spilling_options());
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 40; ++i) refs.push_back(put(store, 4_MiB, i));
  ASSERT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
  for (const auto& file : fs::directory_iterator(directory_.path())) {
    const int fd = ::open(file.path().c_str(), O_WRONLY);
    ASSERT_GE(fd, 0);
    for (off_t at = 1000; at < static_cast<off_t>(file.file_size()); at += 1 << 20)
      ASSERT_EQ(pwrite(fd, "xyz", 3, at), 3);
    ::close(fd);
  }
  std::uint64_t corrupt = 0;
  for (std::uint64_t i = 0; i < refs.size(); ++i) {
    const auto pin = store.get(refs[i], kLong);
    if (pin) {
      EXPECT_TRUE(is_pattern(pin->bytes(), i)) << i;
    } else {
      EXPECT_TRUE(fails(pin, Code::corrupt, directory_.path())) << i;
      ++corrupt;
    }
  }
  EXPECT_GT(corrupt, 0U);
  EXPECT_TRUE(good(store.put(pattern(1_MiB, 1)))) << "the rest goes on";
}

TEST_F(StoreSpillTest, AGetThatFailsAtTheDiskIsNoGet) {
  Store store = open(spilling_options());
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 40; ++i) refs.push_back(put(store, 4_MiB, i));
  ASSERT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
  EXPECT_TRUE(good(store.get(refs[39], 0s)));
  EXPECT_TRUE(good(store.get(refs[0], kLong)));
  EXPECT_EQ(store.stats().gets_from_disk, 1U);
  EXPECT_EQ(store.stats().hit_ratio(), 0.5);
  ASSERT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
  for (const auto& file : fs::directory_iterator(directory_.path())) fs::resize_file(file.path(), 0);
  EXPECT_TRUE(fails(store.get(refs[1], kLong), Code::corrupt));
  EXPECT_TRUE(fails(store.get(refs[2], 0s), Code::timed_out));
  EXPECT_EQ(store.stats().gets_from_disk, 1U);
  EXPECT_EQ(store.stats().hit_ratio(), 0.5);
}

TEST_F(StoreSpillTest, ADirectoryThatCannotBeUsedIsSaidAtOpen) {
  StoreOptions options = spilling_options();
  options.lifetime.spill.directories = {directory_.path() + "/missing"};
  EXPECT_TRUE(fails(Store::open(options), Code::invalid, "missing"));
  options.lifetime.spill.above_percent = 99;
  EXPECT_TRUE(fails(Store::open(options), Code::invalid, "above_percent"));
}

}  // namespace
}  // namespace holdfast::test
