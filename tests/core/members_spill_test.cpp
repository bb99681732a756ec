// Working sets larger than memory, across members: everything comes back from whoever's disk, also when
// members die meanwhile.
#include <algorithm>

#include "tests/core/ranks.h"
#include "tests/core/temporary_directory.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kObjects = 64, kSize = 2_MiB;  // of each rank: four times its arena

std::uint64_t seed_of(std::uint32_t rank, std::uint64_t i) { return rank * 1000ULL + i; }
std::uint64_t size_of(std::uint64_t i) { return kSize + i * 37; }

/// Puts this rank's objects and tells the others; the references of all, by rank.
std::vector<std::vector<ObjectRef>> put_and_share(Store& store) {
  std::vector<std::vector<ObjectRef>> all(store.size());
  std::string tokens;
  for (std::uint64_t i = 0; i < kObjects; ++i) {
    const auto ref = store.put(pattern(size_of(i), seed_of(store.rank(), i)));
    EXPECT_TRUE(good(ref));
    if (!ref) std::exit(1);
    tokens += ref->token() + "\n";
    all[store.rank()].push_back(*ref);
  }
  EXPECT_TRUE(
      good(store.put(Name("tokens/" + std::to_string(store.rank())), std::as_bytes(std::span(tokens)))));
  for (std::uint32_t rank = 0; rank < store.size(); ++rank) {
    if (rank == store.rank()) continue;
    const auto pin = store.get(Name("tokens/" + std::to_string(rank)), kLong);
    EXPECT_TRUE(good(pin));
    if (!pin) std::exit(1);
    std::string_view text(reinterpret_cast<const char*>(pin->bytes().data()), pin->size());
    for (; !text.empty(); text.remove_prefix(text.find('\n') + 1)) {
      auto ref = store.redeem(text.substr(0, text.find('\n')));
      EXPECT_TRUE(good(ref));
      if (!ref) std::exit(1);
      all[rank].push_back(std::move(*ref));
    }
  }
  return all;
}

/// Gets random objects of random ranks and looks at every byte. Those of a rank that was lost say so.
void get_at_random(Store& store, const std::vector<std::vector<ObjectRef>>& all, int rounds,
                   std::optional<std::uint32_t> may_be_lost = {}) {
  Dice dice(store.rank());
  std::vector<std::byte> buffer(size_of(kObjects));
  for (int round = 0; round < rounds; ++round) {
    const auto rank = static_cast<std::uint32_t>(dice.below(store.size()));
    const std::uint64_t i = dice.below(kObjects), seed = seed_of(rank, i);
    const ObjectRef& ref = all[rank][i];
    Result<void> ended;
    if (round % 3 == 0) {
      const auto copied = store.get_into(ref, buffer, kLong);
      if (copied) {
        ASSERT_TRUE(is_pattern(std::span(buffer).first(*copied), seed));
      } else {
        ended = tl::unexpected(copied.error());
      }
    } else {
      const ByteRange range{dice.below(kSize / 2), dice.below(kSize / 2)};
      const auto pin = round % 3 == 1 ? store.get(ref, kLong) : store.get(ref, range, kLong);
      if (pin) {
        ASSERT_TRUE(is_pattern(pin->bytes(), seed, round % 3 == 1 ? 0 : range.offset));
      } else {
        ended = tl::unexpected(pin.error());
      }
    }
    if (!ended && may_be_lost == rank) {
      ASSERT_TRUE(fails(ended, Code::owner_lost));
    } else {
      ASSERT_TRUE(good(ended)) << "object " << i << " of rank " << rank;
    }
  }
}

// What each spills fits into one file.
const Scenario kBeginElsewhere("spill_begins_elsewhere", [](Line&) {
  Store store = join();
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 13; ++i) refs.push_back(store.put(pattern(kSize, i)).value());
  std::vector<SpillDirectoryStats> directories;
  ASSERT_TRUE(comes_true([&] {
    directories = store.stats().spill_directories;
    return std::ranges::any_of(directories, [](const auto& one) { return one.bytes_written > 0; });
  }));
  ASSERT_EQ(directories.size(), 2U);
  for (std::uint32_t i = 0; i < 2; ++i) EXPECT_EQ(directories[i].segments > 0, i == store.rank()) << i;
});

TEST(MembersSpillDirectoriesTest, MembersOfAHostBeginWithDifferentOnes) {
  const TemporaryDirectory first, second;
  Ranks ranks("spill_begins_elsewhere", {.size = 2,
                                         .variables = {{"HOLDFAST_ARENA", "32MiB"},
                                                       {"HOLDFAST_SPILL", first.path() + ":" + second.path()},
                                                       {"HOLDFAST_LOG", "error"}}});
  EXPECT_TRUE(ranks.all_good());
}

class MembersSpillTest : public ::testing::TestWithParam<const char*> {
 protected:
  Ranks::Options job(std::uint32_t size) const {
    return {.size = size,
            .variables = {{"HOLDFAST_ARENA", "32MiB"},
                          {"HOLDFAST_PAGES", "base"},
                          {"HOLDFAST_SPILL", directory_.path()},
                          {"HOLDFAST_TOKEN_LIFETIME", "300"},
                          {"HOLDFAST_LOG", "error"},
                          {"HOLDFAST_SAME_HOST", GetParam()}}};
  }
  std::size_t files() const { return directory_.files().size(); }
  TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(By, MembersSpillTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

const Scenario kRandom("spill_random", [](Line&) {
  Store store = join();
  const auto all = put_and_share(store);
  get_at_random(store, all, 150);
  // Some of each rank at once, in memory and on disk, also where nothing but headers is compared.
  for (const Verify verify : {Verify::always, Verify::never})
    for (std::uint32_t rank = 0; rank < store.size(); ++rank) {
      const auto some = std::span(all[rank]).subspan(rank, 6);
      if (rank % 2 == 0) {
        ASSERT_TRUE(good(store.prefetch(some)));
      }
      const auto pins = store.get_many(some, kLong, {.verify = verify});
      for (std::uint64_t i = 0; i < pins.size(); ++i) {
        ASSERT_TRUE(good(pins[i]));
        ASSERT_TRUE(is_pattern(pins[i]->bytes(), seed_of(rank, rank + i)));
      }
    }
  ASSERT_TRUE(good(store.barrier(kLong)));
  EXPECT_GT(store.stats().restores, 0U);
  EXPECT_EQ(store.stats().corrupt, 0U);
});
TEST_P(MembersSpillTest, AWorkingSetOfFourArenasIsReadAtRandomByAll) {
  EXPECT_TRUE(Ranks("spill_random", job(4)).all_good());
  EXPECT_EQ(files(), 0U);
}

// One dies in the middle of spilling and bringing back; the others go on.
const Scenario kKilled("spill_killed", [](Line& test) {
  Store store = join();
  const auto all = put_and_share(store);
  ASSERT_TRUE(good(store.barrier(kLong)));
  test.say("shared");
  if (store.rank() == 1) {
    get_at_random(store, all, 1'000'000'000);  // until it is killed
    return;
  }
  get_at_random(store, all, 150, 1);
  test.say("done");
  EXPECT_EQ(test.hear(), "end");
  EXPECT_TRUE(fails(store.get(all[1][0], kLong), Code::owner_lost));
});
TEST_P(MembersSpillTest, AMemberKilledWhileItSpillsHurtsNobodyElse) {
  {
    Ranks ranks("spill_killed", job(3));
    for (const std::size_t rank : {0U, 1U, 2U}) EXPECT_EQ(ranks[rank].hear(), "shared");
    ranks.signal(1, SIGKILL);
    EXPECT_EQ(ranks.end(1), -SIGKILL);
    for (const std::size_t rank : {0U, 2U}) EXPECT_EQ(ranks[rank].hear(), "done");
    for (const std::size_t rank : {0U, 2U}) ranks[rank].say("end");
    for (const std::size_t rank : {0U, 2U}) EXPECT_EQ(ranks.end(rank), 0);
  }
  EXPECT_GT(files(), 0U) << "the killed one left its files";
  EXPECT_TRUE(Ranks("spill_opens", job(1)).all_good());
  EXPECT_EQ(files(), 0U) << "the next one removes them";
}
const Scenario kOpens("spill_opens", [](Line&) { Store store = join(); });

}  // namespace
}  // namespace holdfast::test
