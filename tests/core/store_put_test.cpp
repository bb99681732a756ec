// Putting, drafting, naming and erasing.
#include <unordered_set>

#include "tests/core/store_fixture.h"

namespace holdfast::test {
namespace {

using StorePutTest = StoreTest;

TEST_F(StorePutTest, WhatIsPutComesBackWhateverItsSize) {
  Store store = open();
  for (const std::uint64_t size : {0ULL, 1ULL, 63ULL, 64ULL, 65535ULL, 65536ULL, 65537ULL, 5ULL << 20}) {
    const ObjectRef ref = put(store, size, size);
    EXPECT_TRUE(ref);
    EXPECT_EQ(ref.size(), size);
    EXPECT_EQ(ref.owner(), MemberId{0});
    EXPECT_TRUE(ref.is_ready());
    const auto pin = store.get(ref, 0s);
    ASSERT_TRUE(good(pin)) << size;
    EXPECT_EQ(pin->size(), size);
    EXPECT_TRUE(is_pattern(pin->bytes(), size)) << size;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pin->bytes().data()) % 64, 0U);
  }
}

TEST_F(StorePutTest, ThousandsOfOneByteObjectsHaveIdsOfTheirOwn) {
  StoreOptions options = small_options();
  options.catalogue_entries = 10000;
  Store store = open(options);
  std::vector<ObjectRef> refs;
  std::unordered_set<ObjectId> ids;
  for (std::uint64_t i = 0; i < 10000; ++i) {
    refs.push_back(put(store, 1, i));
    ids.insert(refs.back().id());
  }
  EXPECT_EQ(ids.size(), refs.size());
  EXPECT_EQ(store.stats().objects, refs.size());
  for (std::uint64_t i = 0; i < refs.size(); ++i) {
    const auto pin = store.get(refs[i], 0s);
    ASSERT_TRUE(good(pin));
    ASSERT_TRUE(is_pattern(pin->bytes(), i));
  }
}

TEST_F(StorePutTest, TooLargeForTheArenaIsInvalidAndSaysTheSizes) {
  Store store = open();
  EXPECT_TRUE(fails(store.draft(200_MiB), Code::invalid, "64 MiB"));
  EXPECT_TRUE(fails(store.draft(200_MiB), Code::invalid, "200 MiB"));
  EXPECT_TRUE(fails(store.draft(~0ULL), Code::invalid));
  EXPECT_TRUE(fails(store.draft(1ULL << 46), Code::invalid));
  const auto largest = store.stats().nodes.front().largest_free;
  EXPECT_TRUE(good(store.draft(largest - 2_MiB)));
}

TEST_F(StorePutTest, FullSaysTheSizesAndErasingMakesRoom) {
  Store store = open();
  std::vector<ObjectRef> refs;
  Result<ObjectRef> ref = store.put(pattern(10_MiB, 0));
  for (std::uint64_t i = 1; ref && i < 10; ++i) {
    refs.push_back(*ref);
    ref = store.put(pattern(10_MiB, i), no_wait());
  }
  EXPECT_TRUE(fails(ref, Code::full, "64 MiB"));
  EXPECT_GE(refs.size(), 5U);
  for (std::uint64_t i = 0; i < refs.size(); ++i)
    EXPECT_TRUE(is_pattern(store.get(refs[i], 0s).value().bytes(), i));
  ASSERT_TRUE(good(store.erase(refs[2], 0s)));
  ASSERT_TRUE(good(store.put(pattern(10_MiB, 99))));
  EXPECT_TRUE(is_pattern(store.get(refs[3], 0s).value().bytes(), 3));
}

TEST_F(StorePutTest, RoomOfErasedObjectsThatArePinnedComesBackWithTheLastPin) {
  Store store = open();
  const ObjectRef ref = put(store, 40_MiB, 1);
  auto pin = store.get(ref, 0s);
  ASSERT_TRUE(good(pin));
  ASSERT_TRUE(good(store.erase(ref, 0s)));
  EXPECT_TRUE(fails(store.draft(40_MiB, no_wait()), Code::full));
  EXPECT_EQ(store.stats().blocks_awaiting_unpin, 1U);
  EXPECT_TRUE(is_pattern(pin->bytes(), 1));
  pin->release();
  EXPECT_TRUE(pin->bytes().empty());
  EXPECT_TRUE(good(store.draft(40_MiB))) << "an allocation looks for itself, at once";
}

TEST_F(StorePutTest, RoomOfErasedObjectsComesBackThoughNobodyAsksForIt) {
  Store store = open();
  const std::uint64_t before = store.stats().nodes.front().bytes_used;
  const ObjectRef ref = put(store, 1_MiB, 1);
  {
    const auto pin = store.get(ref, 0s);
    ASSERT_TRUE(good(store.erase(ref, 0s)));
  }
  EXPECT_TRUE(comes_true([&] { return store.stats().blocks_awaiting_unpin == 0; }));
  EXPECT_EQ(store.stats().nodes.front().bytes_used, before);
}

TEST_F(StorePutTest, AFullCatalogueIsSaidBeforeABlockIsWrittenAndLeaksNothing) {
  StoreOptions options = small_options();
  options.catalogue_entries = 100;
  Store store = open(options);
  Result<ObjectRef> ref = store.put(pattern(64, 0), no_wait());
  std::vector<ObjectRef> kept;
  for (; ref; ref = store.put(pattern(64, 0), no_wait())) kept.push_back(*ref);
  EXPECT_TRUE(fails(ref, Code::full, "HOLDFAST_CATALOGUE"));
  EXPECT_TRUE(fails(ref, Code::full, std::to_string(kept.size()) + " objects, 0 names and 0 drafts"));
  EXPECT_GE(store.stats().objects, 100U);
  const std::uint64_t used = store.stats().nodes.front().bytes_used;
  EXPECT_TRUE(fails(store.put(pattern(1_MiB, 0), no_wait()), Code::full));
  EXPECT_TRUE(fails(store.draft(1_MiB, no_wait()), Code::full, "HOLDFAST_CATALOGUE"));
  EXPECT_TRUE(fails(store.put(name("n"), pattern(1_MiB, 0), no_wait()), Code::full));
  EXPECT_EQ(store.stats().nodes.front().bytes_used, used);
  ASSERT_TRUE(good(store.erase(kept.back(), 0s)));
  EXPECT_TRUE(good(store.put(pattern(64, 0))));
  kept.clear();  // what nothing keeps gives way to objects and names
  EXPECT_TRUE(good(store.put(name("n"), pattern(1_MiB, 0))));
  EXPECT_GE(store.stats().evictions, 1U);
}

TEST_F(StorePutTest, APutWaitsForAnEntryOfTheCatalogue) {
  StoreOptions options = small_options();
  options.catalogue_entries = 100;
  Store store = open(options);
  std::vector<ObjectRef> kept;
  for (auto ref = store.put(pattern(64, 0), no_wait()); ref; ref = store.put(pattern(64, 0), no_wait()))
    kept.push_back(*ref);
  PutOptions a_while;
  a_while.timeout = 20ms;
  EXPECT_TRUE(fails(store.put(pattern(64, 0), a_while), Code::full, "within 20 ms"));
  std::jthread putting([&] { EXPECT_TRUE(good(store.put(pattern(64, 1)))); });
  EXPECT_TRUE(comes_true([&] { return store.stats().puts_waiting == 1; }));
  ASSERT_TRUE(good(store.erase(kept.back(), 0s)));
}

TEST_F(StorePutTest, ADraftHasItsEntryUntilItIsSealedOrDropped) {
  StoreOptions options = small_options();
  options.catalogue_entries = 100;
  Store store = open(options);
  std::vector<ObjectRef> kept;
  std::optional<Draft> draft = store.draft(64).value();
  for (auto ref = store.put(pattern(64, 0), no_wait()); ref; ref = store.put(pattern(64, 0), no_wait()))
    kept.push_back(*ref);
  const std::uint64_t capacity = kept.size() + 1;
  auto sealed = std::move(*draft).seal();
  ASSERT_TRUE(good(sealed)) << "nobody else has got its entry";
  ASSERT_TRUE(good(store.erase(*sealed, 0s)));
  for (int i = 0; i < 3; ++i) {
    draft = store.draft(64, no_wait()).value();
    EXPECT_TRUE(fails(store.put(pattern(64, 0), no_wait()), Code::full, "1 drafts"));
    draft.reset();
  }
  EXPECT_TRUE(good(store.put(pattern(64, 0), no_wait())));
  // A name needs one more: the object whose name finds none goes, and takes nothing with it.
  kept.clear();
  EXPECT_TRUE(comes_true([&] { return store.stats().cached + 1 >= capacity; }));
  std::vector<Draft> drafts;
  for (auto one = store.draft(64, no_wait()); one; one = store.draft(64, no_wait()))
    drafts.push_back(std::move(*one));
  EXPECT_EQ(drafts.size(), capacity);
  EXPECT_TRUE(fails(std::move(drafts.back()).seal(name("n")), Code::full, "HOLDFAST_CATALOGUE"));
  EXPECT_TRUE(good(store.put(pattern(64, 0), no_wait())));
}

TEST_F(StorePutTest, ANameThatIsTakenSaysSoAndTheObjectIsGone) {
  Store store = open();
  ASSERT_TRUE(good(store.put(name("halo", 1), pattern(100, 1))));
  EXPECT_TRUE(fails(store.put(name("halo", 1), pattern(100, 2)), Code::exists, "halo/1"));
  EXPECT_EQ(store.stats().objects, 1U);
  EXPECT_TRUE(is_pattern(store.get(name("halo", 1), 0s).value().bytes(), 1));
  auto draft = store.draft(10);
  ASSERT_TRUE(good(draft));
  EXPECT_TRUE(fails(std::move(*draft).seal(name("halo", 1)), Code::exists));
  EXPECT_EQ(store.stats().objects, 1U);
}

TEST_F(StorePutTest, ErasingANameErasesItsObjectAndTheNameIsFree) {
  Store store = open();
  const auto ref = store.put(name("a"), pattern(100, 1));
  ASSERT_TRUE(good(ref));
  EXPECT_EQ(store.stats().names, 1U);
  ASSERT_TRUE(good(store.erase(name("a"), 0s)));
  EXPECT_TRUE(fails(store.get(*ref, 0s), Code::not_found));
  EXPECT_TRUE(fails(store.get(name("a"), 0s), Code::not_found));
  EXPECT_TRUE(fails(store.erase(name("a"), 0s), Code::not_found));
  EXPECT_EQ(store.stats().names, 0U);
  EXPECT_EQ(store.stats().objects, 0U);
  ASSERT_TRUE(good(store.put(name("a"), pattern(100, 2))));
  EXPECT_TRUE(is_pattern(store.get(name("a"), 0s).value().bytes(), 2));
}

TEST_F(StorePutTest, ErasingAnObjectTakesItsNameAway) {
  Store store = open();
  const auto ref = store.put(name("a"), pattern(100, 1));
  ASSERT_TRUE(good(ref));
  ASSERT_TRUE(good(store.erase(*ref, 0s)));
  EXPECT_TRUE(fails(store.lookup(name("a"), 0s), Code::not_found));
  EXPECT_TRUE(fails(store.erase(*ref, 0s), Code::not_found, ref->id().to_hex()));
  EXPECT_FALSE(ref->is_ready());
  EXPECT_EQ(store.contains(*ref, 0s), Result<bool>(false));
  EXPECT_EQ(store.stats().names, 0U);
}

TEST_F(StorePutTest, ADraftIsWrittenInPlaceAndSealedOnce) {
  Store store = open();
  auto draft = store.draft(70000);
  ASSERT_TRUE(good(draft));
  ASSERT_EQ(draft->bytes().size(), 70000U);
  const std::byte* const place = draft->bytes().data();
  fill_pattern(draft->bytes(), 3);
  EXPECT_EQ(store.stats().objects, 0U);
  const auto ref = std::move(*draft).seal(name("drafted"));
  ASSERT_TRUE(good(ref));
  EXPECT_TRUE(draft->bytes().empty());
  EXPECT_TRUE(fails(draft->ref(), Code::invalid));
  EXPECT_TRUE(fails(std::move(*draft).seal(), Code::invalid));
  const auto pin = store.get(name("drafted"), 0s);
  ASSERT_TRUE(good(pin));
  EXPECT_EQ(pin->bytes().data(), place) << "no copy was made";
  EXPECT_TRUE(is_pattern(pin->bytes(), 3));
}

TEST_F(StorePutTest, AGetOfADraftsReferenceIsWokenByTheSeal) {
  Store store = open();
  auto draft = store.draft(1000);
  ASSERT_TRUE(good(draft));
  const auto ref = draft->ref();
  ASSERT_TRUE(good(ref));
  EXPECT_EQ(draft->ref(), ref);
  EXPECT_FALSE(ref->is_ready());
  EXPECT_TRUE(fails(store.get(*ref, 0s), Code::not_found));
  EXPECT_TRUE(fails(store.get(*ref, 20ms), Code::timed_out, ref->id().to_hex()));
  EXPECT_TRUE(fails(store.get(*ref, kLong, {.missing = GetOptions::Missing::fail}), Code::not_found));
  std::thread sealer([&] {
    EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 1; }));
    fill_pattern(draft->bytes(), 5);
    EXPECT_TRUE(good(std::move(*draft).seal()));
  });
  const auto pin = store.get(*ref, kLong);
  sealer.join();
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 5));
  EXPECT_EQ(store.stats().waiters, 0U);
}

TEST_F(StorePutTest, WhoWaitsForADraftThatIsDroppedIsTold) {
  Store store = open();
  const std::uint64_t used = store.stats().nodes.front().bytes_used;
  {
    auto draft = std::make_unique<Draft>(store.draft(1000).value());
    const ObjectRef ref = draft->ref().value();
    std::thread dropper([&] {
      EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 1; }));
      draft.reset();
    });
    EXPECT_TRUE(fails(store.get(ref, kLong), Code::not_found, "dropped"));
    dropper.join();
    EXPECT_TRUE(fails(store.get(ref, kLong), Code::not_found));
    auto other = std::make_unique<Draft>(store.draft(1000).value());
    const ObjectRef unnamed = other->ref().value();
    EXPECT_TRUE(fails(std::move(*other).seal(Name("")), Code::invalid));
    EXPECT_TRUE(fails(store.get(unnamed, kLong), Code::not_found));
  }
  EXPECT_EQ(store.stats().nodes.front().bytes_used, used);
}

TEST_F(StorePutTest, AssigningADraftDropsTheOneThatWasThere) {
  Store store = open();
  Draft draft = store.draft(1000).value();
  const ObjectRef first = draft.ref().value();
  draft = store.draft(2000).value();
  EXPECT_EQ(draft.bytes().size(), 2000U);
  EXPECT_TRUE(fails(store.get(first, kLong), Code::not_found));
  Draft moved = std::move(draft);
  EXPECT_TRUE(fails(draft.ref(), Code::invalid));
  EXPECT_TRUE(good(std::move(moved).seal()));
}

TEST_F(StorePutTest, PayloadsLieAsAlignedAsAskedFor) {
  Store store = open();
  for (const std::uint32_t alignment : {64U, 256U, 4096U, 2U << 20}) {
    const ObjectRef ref = put(store, 70001, alignment, {.alignment = alignment});
    const auto pin = store.get(ref, 0s);
    ASSERT_TRUE(good(pin));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pin->bytes().data()) % alignment, 0U) << alignment;
    EXPECT_TRUE(is_pattern(pin->bytes(), alignment));
  }
  for (const std::uint32_t alignment : {0U, 1U, 32U, 96U, 4U << 20})
    EXPECT_TRUE(fails(store.put(pattern(1, 1), {.alignment = alignment}), Code::invalid, "alignment"))
        << alignment;
}

TEST_F(StorePutTest, LiesOnTheNodeAskedForOrSaysThatThereIsNone) {
  Store store = open();
  const numa::NodeId node = store.stats().nodes.front().segment.asked;
  EXPECT_TRUE(good(store.put(pattern(100, 1), {.node = node})));
  EXPECT_EQ(store.stats().placed_elsewhere, 0U);
  EXPECT_TRUE(fails(store.put(pattern(100, 1), {.node = numa::NodeId{9999}}), Code::invalid, "9999"));
}

TEST_F(StorePutTest, EmptyAndTooLongNamesAreRefused) {
  Store store = open();
  for (const Name& bad : {Name(""), Name(std::string(Name::kMaxBytes + 1, 'x'))}) {
    EXPECT_TRUE(fails(store.put(bad, pattern(1, 1)), Code::invalid));
    EXPECT_TRUE(fails(store.get(bad, 0s), Code::invalid));
    EXPECT_TRUE(fails(store.fetch(bad).wait(0s), Code::invalid));
    EXPECT_TRUE(fails(store.lookup(bad, 0s), Code::invalid));
    EXPECT_TRUE(fails(store.contains(bad, 0s), Code::invalid));
    EXPECT_TRUE(fails(store.erase(bad, 0s), Code::invalid));
  }
  EXPECT_EQ(store.stats().objects, 0U);
  const Name longest(std::string(Name::kMaxBytes, 'x'));
  EXPECT_TRUE(good(store.put(longest, pattern(1, 1))));
  EXPECT_TRUE(good(store.get(longest, 0s)));
}

}  // namespace
}  // namespace holdfast::test
