// What waits for a slow disk ends by its deadline, and nothing else waits for it. (members_spill_test.cpp is
// part of this program, too: working sets larger than memory on slow disks.)
#include "tests/core/ranks.h"
#include "tests/core/slow_disk.h"
#include "tests/core/temporary_directory.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kObjects = 32, kSize = 2_MiB;  // of rank 0: twice its arena
constexpr Duration kShort = 300ms;

Name token_name(std::uint64_t i) { return Name("token/" + std::to_string(i)); }

ObjectRef redeemed(Store& store, std::uint64_t i) {
  const auto pin = store.get(token_name(i), kLong);
  EXPECT_TRUE(good(pin));
  if (!pin) std::exit(1);
  auto ref = store.redeem({reinterpret_cast<const char*>(pin->bytes().data()), pin->size()});
  EXPECT_TRUE(good(ref));
  if (!ref) std::exit(1);
  return std::move(*ref);
}

void tell_token(Store& store, std::uint64_t i, const ObjectRef& ref) {
  const std::string token = ref.token();
  EXPECT_TRUE(good(store.put(token_name(i), std::as_bytes(std::span(token)))));
}

bool on_disk(Store& store, const ObjectRef& ref) {
  const auto why = store.why(ref, kLong);
  EXPECT_TRUE(good(why));
  return why && why->find("where       on disk") != std::string::npos;
}

testing::AssertionResult comes(Store& store, const ObjectRef& ref, std::uint64_t seed) {
  const auto pin = store.get(ref, kLong);
  if (!pin) return good(pin);
  return testing::AssertionResult(is_pattern(pin->bytes(), seed)) << "of object " << seed;
}

// Rank 0's disk stands still. Objects on it are late, for rank 0 itself and for rank 1; those in memory are
// not.
const Scenario kStandstill("disk_stands_still", [](Line& test) {
  Store store = join();
  std::vector<ObjectRef> refs;
  std::size_t cold = 0, warm = kObjects - 1;  // one on disk, and one in memory
  if (store.rank() == 0) {
    for (std::uint64_t i = 0; i < kObjects; ++i) refs.push_back(store.put(pattern(kSize, i)).value());
    ASSERT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
    ASSERT_GT(disk_transfers(), 0U);
    stop_disk();
    ASSERT_TRUE(on_disk(store, refs[cold]));
    ASSERT_FALSE(on_disk(store, refs[warm]));
    tell_token(store, cold, refs[cold]);
    tell_token(store, warm, refs[warm]);
    EXPECT_TRUE(fails(store.get(refs[cold], kShort), Code::timed_out));
    EXPECT_TRUE(comes(store, refs[warm], warm));
    const auto full = store.put(pattern(16_MiB, 0), {.timeout = kShort});
    EXPECT_TRUE(fails(full, Code::full)) << "what would make room for it is on its way to the disk";
  } else {
    refs.resize(kObjects);
    refs[cold] = redeemed(store, cold);
    refs[warm] = redeemed(store, warm);
    EXPECT_TRUE(fails(store.get(refs[cold], kShort), Code::timed_out));
    EXPECT_TRUE(comes(store, refs[warm], warm));
    EXPECT_TRUE(comes(store, store.put(pattern(kSize, 7)).value(), 7)) << "its own disk goes";
  }
  test.say("seen");
  ASSERT_EQ(test.hear(), "go on");
  let_disk_go_on();
  for (std::uint64_t i = 0; i < kObjects; ++i)
    if (refs[i]) {
      EXPECT_TRUE(comes(store, refs[i], i));
    }
  ASSERT_TRUE(good(store.barrier(kLong)));
});

class MembersSlowDiskTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(By, MembersSlowDiskTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST_P(MembersSlowDiskTest, WhatIsInMemoryDoesNotWaitForADiskThatStandsStill) {
  const TemporaryDirectory directory;
  {
    Ranks ranks("disk_stands_still", {.size = 2,
                                      .variables = {{"HOLDFAST_ARENA", "32MiB"},
                                                    {"HOLDFAST_SPILL", directory.path()},
                                                    {"HOLDFAST_LOG", "error"},
                                                    {"HOLDFAST_SAME_HOST", GetParam()}}});
    for (const std::size_t rank : {0U, 1U}) EXPECT_EQ(ranks[rank].hear(), "seen");
    for (const std::size_t rank : {0U, 1U}) ranks[rank].say("go on");
    EXPECT_TRUE(ranks.all_good());
  }
  EXPECT_TRUE(directory.files().empty());
}

// Small objects that are wanted together share reads, of up to 1 MiB.
const Scenario kTogether("small_objects_come_back", [](Line&) {
  constexpr std::uint64_t kSmall = 16_KiB, kSmallObjects = 512;
  Store store = join();
  std::vector<ObjectRef> refs, others;
  for (std::uint64_t i = 0; i < kSmallObjects; ++i) refs.push_back(store.put(pattern(kSmall, i)).value());
  for (std::uint64_t i = 0; i < kObjects; ++i) others.push_back(store.put(pattern(kSize, i)).value());
  ASSERT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
  ASSERT_TRUE(on_disk(store, refs.front()) && on_disk(store, refs.back()));
  others.clear();  // room for those that come back: nothing has to be written for it
  ASSERT_TRUE(comes_true([&] {
    const Stats stats = store.stats();
    return stats.objects - stats.cached == kSmallObjects;
  }));
  const std::uint64_t before = disk_transfers();
  ASSERT_TRUE(good(store.prefetch(refs)));
  ASSERT_TRUE(comes_true([&] { return store.stats().restores == kSmallObjects; }));
  EXPECT_LT(disk_transfers() - before, kSmallObjects / 8);
  for (std::uint64_t i = 0; i < kSmallObjects; ++i) EXPECT_TRUE(comes(store, refs[i], i));
});

// Rank 0 is killed while a write, or a read, of its disk stands still. Rank 1 holds what is concerned.
void expect_loss(Store& store, Line& test, const ObjectRef& lost) {
  // What is in memory that is shared can be got until it is noticed that its owner has gone.
  EXPECT_TRUE(comes_true([&] {
    const auto got = store.get(lost, kLong);
    if (!got) {
      EXPECT_TRUE(fails(got, Code::owner_lost));
    }
    return !got;
  }));
  EXPECT_TRUE(comes(store, store.put(pattern(kSize, 7)).value(), 7));
  test.say("lost");
}

const Scenario kKilledWriting("killed_while_it_writes", [](Line& test) {
  Store store = join();
  if (store.rank() == 1) {
    const ObjectRef held = redeemed(store, 0);
    test.say("holds");
    EXPECT_EQ(test.hear(), "killed");
    return expect_loss(store, test, held);
  }
  std::vector<ObjectRef> refs;
  refs.push_back(store.put(pattern(kSize, 0)).value());
  tell_token(store, 0, refs[0]);
  EXPECT_EQ(test.hear(), "held");
  stop_disk();
  // As much as fits: most of it is to be written, and the first of that is on its way.
  while (auto ref = store.put(pattern(kSize, 1), {.timeout = 0s})) refs.push_back(std::move(*ref));
  EXPECT_TRUE(comes_true([&] { return store.stats().spilling > 0 && disk_transfers() > 0; }));
  test.say("stands still");
  (void)test.hear();  // never comes
});

const Scenario kKilledReading("killed_while_it_reads", [](Line& test) {
  Store store = join();
  if (store.rank() == 1) {
    const ObjectRef cold = redeemed(store, 0);
    test.say("holds");
    EXPECT_EQ(test.hear(), "get");
    return expect_loss(store, test, cold);  // begun before the kill, or right after it
  }
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < kObjects; ++i) refs.push_back(store.put(pattern(kSize, i)).value());
  EXPECT_TRUE(comes_true([&] { return store.stats().spilling == 0; }));
  EXPECT_TRUE(on_disk(store, refs[0]));
  tell_token(store, 0, refs[0]);
  EXPECT_EQ(test.hear(), "held");
  // Behind a write, which the token may have brought about, the read would not begin.
  ASSERT_TRUE(comes_true([] { return stop_idle_disk(); }));
  const std::uint64_t before = disk_transfers();
  test.say("stopped");
  EXPECT_TRUE(comes_true([&] { return disk_transfers() > before; })) << "what rank 1 gets is being read";
  test.say("stands still");
  (void)test.hear();  // never comes
});

TEST(MembersDiskReadsTest, SmallObjectsThatAreWantedTogetherShareReads) {
  const TemporaryDirectory directory;
  Ranks ranks("small_objects_come_back", {.size = 1,
                                          .variables = {{"HOLDFAST_ARENA", "32MiB"},
                                                        {"HOLDFAST_SPILL", directory.path()},
                                                        {"HOLDFAST_LOG", "error"}}});
  EXPECT_TRUE(ranks.all_good());
}

class MembersKilledAtTheDiskTest : public MembersSlowDiskTest {
 protected:
  Ranks::Options job(std::uint32_t size) {
    return {.size = size,
            .variables = {{"HOLDFAST_ARENA", "32MiB"},
                          {"HOLDFAST_SPILL", directory_.path()},
                          {"HOLDFAST_LOG", "error"},
                          {"HOLDFAST_SAME_HOST", GetParam()}}};
  }
  void kill_owner(Ranks& ranks) {
    EXPECT_EQ(ranks[0].hear(), "stands still");
    ranks.signal(0, SIGKILL);
    EXPECT_EQ(ranks.end(0), -SIGKILL);
  }
  /// Its files stay, until the next member of this user starts.
  void expect_files_of_the_dead() {
    EXPECT_FALSE(directory_.files().empty());
    EXPECT_TRUE(Ranks("spill_opens", job(1)).all_good());
    EXPECT_TRUE(directory_.files().empty());
  }
  const TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(By, MembersKilledAtTheDiskTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST_P(MembersKilledAtTheDiskTest, InTheMiddleOfAWrite) {
  {
    Ranks ranks("killed_while_it_writes", job(2));
    EXPECT_EQ(ranks[1].hear(), "holds");
    ranks[0].say("held");
    kill_owner(ranks);
    ranks[1].say("killed");
    EXPECT_EQ(ranks[1].hear(), "lost");
    EXPECT_EQ(ranks.end(1), 0);
  }
  expect_files_of_the_dead();
}

TEST_P(MembersKilledAtTheDiskTest, InTheMiddleOfARead) {
  {
    Ranks ranks("killed_while_it_reads", job(2));
    EXPECT_EQ(ranks[1].hear(), "holds");
    ranks[0].say("held");
    EXPECT_EQ(ranks[0].hear(), "stopped");
    ranks[1].say("get");
    kill_owner(ranks);
    EXPECT_EQ(ranks[1].hear(), "lost");
    EXPECT_EQ(ranks.end(1), 0);
  }
  expect_files_of_the_dead();
}

}  // namespace
}  // namespace holdfast::test
