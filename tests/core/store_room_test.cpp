// What a put does when there is no room, in one process: waits in line, joins what is free, says what is in
// its way.
#include <unistd.h>

#include <filesystem>

#include "tests/core/store_fixture.h"
#include "tests/core/temporary_directory.h"

namespace holdfast::test {
namespace {

class StoreRoomTest : public StoreTest {
 protected:
  /// Until nothing more fits; the references keep all.
  static std::vector<ObjectRef> fill(Store& store, std::uint64_t size) {
    std::vector<ObjectRef> refs;
    for (auto ref = store.put(pattern(size, 0), no_wait()); ref;
         ref = store.put(pattern(size, refs.size()), no_wait()))
      refs.push_back(std::move(*ref));
    return refs;
  }
};

TEST_F(StoreRoomTest, APutWaitsUntilAReferenceIsDropped) {
  Store store = open();
  auto refs = fill(store, 10_MiB);
  std::jthread putting([&] {
    const auto ref = store.put(pattern(10_MiB, 99));
    EXPECT_TRUE(good(ref));
  });
  EXPECT_TRUE(comes_true([&] { return store.stats().puts_waiting == 1; }));
  refs.pop_back();
}

TEST_F(StoreRoomTest, APutWaitsUntilAPinIsReleased) {
  Store store = open();
  auto refs = fill(store, 10_MiB);
  auto pin = store.get(refs[3], 0s);
  ASSERT_TRUE(good(pin));
  refs.erase(refs.begin() + 3);
  std::jthread putting([&] { EXPECT_TRUE(good(store.put(pattern(10_MiB, 99)))); });
  EXPECT_TRUE(comes_true([&] { return store.stats().puts_waiting == 1; }));
  EXPECT_TRUE(is_pattern(pin->bytes(), 3));
  pin->release();
}

TEST_F(StoreRoomTest, NothingIsEvictedWhileAllThatIsCachedIsPinned) {
  Store store = open();
  std::vector<Pin> pins;
  for (auto& ref : fill(store, 10_MiB)) pins.push_back(store.get(ref, 0s).value());
  EXPECT_TRUE(comes_true([&] { return store.stats().cached == pins.size(); })) << "the references have gone";
  EXPECT_TRUE(fails(store.put(pattern(10_MiB, 99), no_wait()), Code::full,
                    "60.01 MiB cached objects (60.01 MiB of these pinned now)"));
  EXPECT_EQ(store.stats().evictions, 0U);
  for (std::uint64_t i = 0; i < pins.size(); ++i) EXPECT_TRUE(is_pattern(pins[i].bytes(), i)) << i;
  pins.back().release();
  EXPECT_TRUE(good(store.put(pattern(10_MiB, 99), no_wait())));
  EXPECT_GE(store.stats().evictions, 1U);
}

TEST_F(StoreRoomTest, NobodyOvertakesAPutThatWaits) {
  Store store = open();
  auto refs = fill(store, 10_MiB);
  std::jthread large([&] { EXPECT_TRUE(good(store.draft(30_MiB))); });
  EXPECT_TRUE(comes_true([&] { return store.stats().puts_waiting == 1; }));
  refs.pop_back();
  // Room for a small one, but the large one was here first.
  EXPECT_TRUE(fails(store.draft(1_MiB, no_wait()), Code::full, "ahead in line"));
  EXPECT_EQ(store.stats().puts_waiting, 1U);
  refs.clear();
  EXPECT_TRUE(good(store.draft(1_MiB))) << "after it";
}

TEST_F(StoreRoomTest, FullSaysWhatHoldsTheMemory) {
  Store store = open();
  const auto refs = fill(store, 10_MiB);
  PutOptions options;
  options.timeout = 20ms;
  const auto ref = store.put(pattern(10_MiB, 0), options);
  EXPECT_TRUE(fails(ref, Code::full, "objects that references or names keep"));
  EXPECT_TRUE(fails(ref, Code::full, "within 20 ms"));
  EXPECT_TRUE(fails(ref, Code::full, "HOLDFAST_SPILL"));
  EXPECT_TRUE(fails(store.put(pattern(100_MiB, 0), options), Code::invalid)) << "it will never fit";
}

TEST_F(StoreRoomTest, FullTellsPinnedBytesFromOthers) {
  Store store = open();
  auto refs = fill(store, 10_MiB);
  ASSERT_EQ(refs.size(), 6U);
  const auto kept = store.get(refs[0], 0s), again = store.get(refs[0], 0s), cached = store.get(refs[1], 0s),
             erased = store.get(refs[2], 0s);
  refs[1] = ObjectRef();
  ASSERT_TRUE(good(store.erase(refs[2], 0s)));
  EXPECT_TRUE(comes_true([&] { return store.stats().cached == 1; }));
  const auto ref = store.put(pattern(10_MiB, 0), no_wait());
  EXPECT_TRUE(fails(ref, Code::full, "40.01 MiB are objects that references or names keep"));
  EXPECT_TRUE(fails(ref, Code::full, "10 MiB cached objects (20 MiB of these pinned now)"));
  EXPECT_TRUE(fails(ref, Code::full, "10 MiB erased objects that are still pinned"));
}

TEST_F(StoreRoomTest, FullSaysWhatIsPinnedAndWhatTheDisksRefuse) {
  const TemporaryDirectory directory;
  StoreOptions options = small_options();
  options.lifetime.spill.directories = {directory.path() + "/spill"};
  std::filesystem::create_directory(directory.path() + "/spill");
  Store store = open(options);
  const ObjectRef first = put(store, 20_MiB, 1);
  const auto pin = store.get(first, 0s);
  std::filesystem::remove_all(directory.path() + "/spill");  // no file can be made there any more
  const auto refs = fill(store, 10_MiB);
  PutOptions soon;
  soon.timeout = 200ms;
  const auto ref = store.put(pattern(30_MiB, 0), soon);
  EXPECT_TRUE(fails(ref, Code::full, "20 MiB of these pinned now, 40.01 MiB"));
  EXPECT_TRUE(fails(ref, Code::full, "refused by the disks"));
  EXPECT_TRUE(fails(ref, Code::full, "nothing more is written to disk"));
}

TEST_F(StoreRoomTest, BlocksAreMovedWhereWhatIsFreeDoesNotLieTogether) {
  Store store = open();
  auto refs = fill(store, 1_MiB);
  ASSERT_GE(refs.size(), 50U);
  // Every second one goes: half is free, and no hole holds more than one.
  for (std::size_t i = 0; i < refs.size(); i += 2) {
    const ObjectRef ref = std::exchange(refs[i], {});
    ASSERT_TRUE(good(store.erase(ref, 0s)));
  }
  auto pin = store.get(refs[25], 0s);
  ASSERT_TRUE(good(pin));
  const auto large = store.put(pattern(16_MiB, 1000), no_wait());
  ASSERT_TRUE(good(large));
  EXPECT_GT(store.stats().moved, 0U);
  EXPECT_TRUE(is_pattern(store.get(*large, 0s).value().bytes(), 1000));
  EXPECT_TRUE(is_pattern(pin->bytes(), 25)) << "what is pinned stays where it is";
  for (std::size_t i = 1; i < refs.size(); i += 2) {
    const auto one = store.get(refs[i], 0s);
    ASSERT_TRUE(good(one)) << i;
    EXPECT_TRUE(is_pattern(one->bytes(), i)) << i;
  }
}

TEST_F(StoreRoomTest, AnObjectKeepsItsParts) {
  Store store = open();
  std::optional<ObjectRef> whole;
  {
    PutOptions with_parts;
    for (std::uint64_t i = 0; i < 200; ++i) with_parts.parts.push_back(put(store, 100, i));
    whole = put(store, 10, 1000, with_parts);
  }
  auto parts = store.parts(*whole, 1s);
  ASSERT_TRUE(good(parts));
  ASSERT_EQ(parts->size(), 200U);
  for (std::uint64_t i = 0; i < 200; ++i)
    EXPECT_TRUE(is_pattern(store.get((*parts)[i], 0s).value().bytes(), i)) << i;
  const ObjectRef one = (*parts)[7];
  parts->clear();
  EXPECT_EQ(store.stats().objects, 201U);
  whole.reset();
  EXPECT_TRUE(comes_true([&] { return store.stats().cached == 199; })) << "all but the one that is held";
  EXPECT_EQ(store.stats().objects, 200U) << "the whole does not stay as cache: it would keep them";
  EXPECT_TRUE(is_pattern(store.get(one, 0s).value().bytes(), 7));
  EXPECT_TRUE(fails(store.put(pattern(1, 1), {.parts = {ObjectRef()}}), Code::invalid));
}

TEST_F(StoreRoomTest, WhyTellsWhatHoldsAnObject) {
  Store store = open();
  const ObjectRef ref = put(store, 1000, 1);
  const std::string plain = store.why(ref, 1s).value();
  EXPECT_NE(plain.find(ref.id().to_hex()), std::string::npos) << plain;
  EXPECT_NE(plain.find("1 references of its own process"), std::string::npos) << plain;
  EXPECT_NE(plain.find("HOLDFAST_SPILL"), std::string::npos) << plain;
  EXPECT_EQ(plain.find("pinned"), std::string::npos) << plain;
  {
    const auto pin = store.get(ref, 0s), again = store.get(ref, 0s);
    const std::string token = ref.token();
    const std::string pinned = holdfast::why(ref.id(), kLong).value();  // as from outside
    EXPECT_NE(pinned.find("process " + std::to_string(getpid()) + ", its owner's, 2 times"),
              std::string::npos)
        << pinned;
    EXPECT_NE(pinned.find("a token that rank 0 made"), std::string::npos) << pinned;
  }
  ASSERT_TRUE(good(store.erase(ref, 0s)));
  EXPECT_NE(store.why(ref, 1s).value().find("not there"), std::string::npos);
  EXPECT_TRUE(fails(holdfast::why({1, 2}, kLong), Code::owner_lost));
  EXPECT_TRUE(fails(store.why(ObjectRef(), 1s), Code::invalid));
}

TEST_F(StoreRoomTest, StatsTellTheStateOfEachByte) {
  Store store = open();
  const ObjectRef kept = put(store, 3_MiB, 1);
  { const ObjectRef cached = put(store, 2_MiB, 2); }
  EXPECT_TRUE(comes_true([&] { return store.stats().cached == 1; }));
  const auto pin = store.get(kept, 0s);
  const auto again = store.get(kept, 0s);
  const NodeStats node = store.stats().nodes.front();
  EXPECT_EQ(node.objects, 2U);
  EXPECT_GE(node.bytes_kept, 3_MiB);
  EXPECT_LT(node.bytes_kept, 3_MiB + 64_KiB);
  EXPECT_GE(node.bytes_cached, 2_MiB);
  EXPECT_LT(node.bytes_cached, 2_MiB + 64_KiB);
  EXPECT_EQ(node.bytes_pinned, node.bytes_kept) << "twice pinned is once pinned";
  ASSERT_TRUE(good(store.erase(kept, 0s)));
  const NodeStats after = store.stats().nodes.front();
  EXPECT_EQ(after.objects, 1U);
  EXPECT_EQ(after.bytes_kept, 0U);
  EXPECT_EQ(after.bytes_pinned, node.bytes_pinned) << "erased, and still pinned";
  EXPECT_EQ(store.stats().hit_ratio(), 1.0);
}

}  // namespace
}  // namespace holdfast::test
