// Several processes, all well: everybody reads everybody, from mapped memory and through the fabric.
#include <fmt/format.h>

#include <cstring>
#include <thread>

#include "src/peers.h"
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

class MembersTest : public ::testing::TestWithParam<const char*> {
 protected:
  static Ranks::Options job(std::uint32_t size, Variables more = {}) {
    more.emplace_back("HOLDFAST_SAME_HOST", GetParam());
    return {.size = size, .variables = std::move(more)};
  }
};
INSTANTIATE_TEST_SUITE_P(SameHost, MembersTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

bool by_fabric() { return std::string_view(getenv("HOLDFAST_SAME_HOST")) == "fabric"; }

constexpr GetOptions kFail{.missing = GetOptions::Missing::fail};

/// Another name each time, whose home is `home`.
Name name_at(std::uint32_t home, std::uint32_t members, std::string_view what) {
  static std::uint32_t n = 0;
  const Peers peers(MemberId{0}, std::vector<Card>(members));
  for (;;)
    if (Name candidate = name(std::string(what), n++); peers.home_of(*key_of(candidate)).value == home)
      return candidate;
}

std::string text_of(const Pin& pin) {
  return {reinterpret_cast<const char*>(pin.bytes().data()), pin.size()};
}
std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// The references behind a named list of tokens.
std::vector<ObjectRef> redeem_list(Store& store, const Name& list) {
  std::vector<ObjectRef> refs;
  const auto pin = store.get(list, kLong);
  EXPECT_TRUE(good(pin));
  std::string text = pin ? text_of(*pin) : "";
  for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    auto ref = store.redeem(std::string_view(text).substr(0, end));
    EXPECT_TRUE(good(ref));
    if (ref) refs.push_back(*ref);
  }
  return refs;
}
void put_list(Store& store, const Name& list, std::span<const ObjectRef> refs) {
  std::string text;
  for (const ObjectRef& ref : refs) text += ref.token() + '\n';
  EXPECT_TRUE(good(store.put(list, bytes_of(text))));
}

const Scenario kExchange("exchange", [](Line&) {
  Store store = join();
  constexpr std::uint64_t kSizes[] = {0, 8, 4096, 65535, 65537, 1 << 20, 16 << 20};
  const auto seed = [](std::uint32_t rank, std::uint64_t size) { return size << 8 | rank; };
  for (const std::uint64_t size : kSizes)
    ASSERT_TRUE(good(store.put(name("object", store.rank(), size), pattern(size, seed(store.rank(), size)))));
  for (std::uint32_t step = 1; step < store.size(); ++step) {
    const std::uint32_t other = (store.rank() + step) % store.size();
    for (const std::uint64_t size : kSizes) {
      const Name theirs = name("object", other, size);
      const auto ref = store.lookup(theirs, kLong);  // waits for it
      ASSERT_TRUE(good(ref));
      EXPECT_EQ(ref->owner(), MemberId{other});
      EXPECT_EQ(ref->size(), size);
      EXPECT_TRUE(ref->is_ready());
      const auto by_name = store.get(theirs, kLong), by_ref = store.fetch(*ref).wait(kLong);
      ASSERT_TRUE(good(by_name) && good(by_ref)) << size;
      EXPECT_EQ(by_name->size(), size);
      EXPECT_TRUE(is_pattern(by_name->bytes(), seed(other, size))) << size;
      EXPECT_TRUE(is_pattern(by_ref->bytes(), seed(other, size))) << size;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(by_ref->bytes().data()) % 64, 0U);
      std::vector<std::byte> buffer(size + 16, std::byte{0xee});
      EXPECT_EQ(store.get_into(*ref, buffer, kLong), Result<std::uint64_t>(size));
      EXPECT_TRUE(is_pattern(std::span(buffer).first(size), seed(other, size))) << size;
      for (std::uint64_t i = size; i < buffer.size(); ++i) ASSERT_EQ(buffer[i], std::byte{0xee});
      for (const ByteRange& range :
           {ByteRange{0, size / 2}, ByteRange{size / 3, size - size / 3},
            ByteRange{size / 2, std::min<std::uint64_t>(size / 2, 70000)}, ByteRange{size, 0}}) {
        const auto part = store.get(*ref, range, kLong);
        ASSERT_TRUE(good(part)) << size;
        EXPECT_EQ(part->size(), range.bytes);
        EXPECT_TRUE(is_pattern(part->bytes(), seed(other, size), range.offset))
            << size << " from " << range.offset;
      }
      EXPECT_TRUE(fails(store.get(*ref, ByteRange{size, 1}, kLong), Code::invalid));
    }
  }
  const Stats stats = store.stats();
  EXPECT_EQ(stats.gets_remote > 0, by_fabric());
  EXPECT_EQ(stats.gets_shared > 0, !by_fabric());
  EXPECT_EQ(stats.gets_local, 0U);
  EXPECT_EQ(stats.corrupt + stats.quarantined + stats.members_lost, 0U);
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, AllGetWhatAllPut) { EXPECT_TRUE(Ranks("exchange", job(3)).all_good()); }

const Scenario kLarge("large", [](Line&) {
  Store store = join();
  constexpr std::uint64_t kSize = 64_MiB + 12345;
  if (store.rank() == 0) {
    auto draft = store.draft(kSize, {.alignment = 4096});
    ASSERT_TRUE(good(draft));
    fill_pattern(draft->bytes(), 3);
    ASSERT_TRUE(good(std::move(*draft).seal(name("large"))));
  } else {
    const auto ref = store.lookup(name("large"), kLong);
    ASSERT_TRUE(good(ref));
    const auto pin = store.get(*ref, kLong);
    ASSERT_TRUE(good(pin));
    EXPECT_TRUE(is_pattern(pin->bytes(), 3));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pin->bytes().data()) % 4096, 0U);
    std::vector<std::byte> buffer(kSize);
    EXPECT_EQ(store.get_into(*ref, buffer, kLong), Result<std::uint64_t>(kSize));
    EXPECT_TRUE(is_pattern(buffer, 3));
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, LargeObjectsComeWhole) {
  EXPECT_TRUE(Ranks("large", job(2, {{"HOLDFAST_ARENA", "160MiB"}})).all_good());
}

const Scenario kNoRoom("no_room", [](Line&) {
  Store store = join();
  if (store.rank() == 0) {
    ASSERT_TRUE(good(store.put(name("large"), pattern(40_MiB, 3))));
  } else {
    const ObjectRef own = store.put(pattern(30_MiB, 4)).value();
    const auto pin = store.get(name("large"), kLong);
    if (by_fabric()) {
      EXPECT_TRUE(fails(pin, Code::full, "64 MiB"));
      std::vector<std::byte> buffer(40_MiB);
      EXPECT_TRUE(good(store.get_into(store.lookup(name("large"), kLong).value(), buffer, kLong)))
          << "a copy out of the arena lands a piece at a time";
      EXPECT_TRUE(is_pattern(buffer, 3));
      ASSERT_TRUE(good(store.erase(own, kLong)));
      EXPECT_TRUE(good(store.get(name("large"), kLong)));
    } else {
      EXPECT_TRUE(good(pin)) << "what lies on this host needs no room here";
    }
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, AGetWithoutRoomForTheCopyIsFull) { EXPECT_TRUE(Ranks("no_room", job(2)).all_good()); }

const Scenario kWoken("woken", [](Line&) {
  Store store = join();
  const Name late = name_at(0, store.size(), "late");
  EXPECT_TRUE(good(store.barrier(kLong)));
  if (store.rank() == 0) {
    EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 2; }));
    const std::uint64_t served = store.stats().requests_served;
    EXPECT_TRUE(fails(store.get(name("never"), 500ms), Code::timed_out));
    // Two who wait do not ask again and again.
    EXPECT_LE(store.stats().requests_served - served, 4U);
    ASSERT_TRUE(good(store.put(late, pattern(100, 7))));
  } else {
    const std::uint64_t reads = store.stats().remote_reads;
    const auto pin = store.get(late, kLong);
    ASSERT_TRUE(good(pin));
    EXPECT_TRUE(is_pattern(pin->bytes(), 7));
    EXPECT_LE(store.stats().remote_reads - reads, 4U) << "the look at the catalogue, and the object";
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
  if (store.rank() == 0) {
    EXPECT_EQ(store.stats().waiters, 0U);
  }
});
TEST_P(MembersTest, WhoWaitsForANameSleepsAndIsWoken) { EXPECT_TRUE(Ranks("woken", job(3)).all_good()); }

const Scenario kPromised("promised", [](Line&) {
  Store store = join();
  if (store.rank() == 1) {
    auto kept = store.draft(5000), broken = store.draft(5000);
    ASSERT_TRUE(good(kept) && good(broken));
    put_list(store, name("promises"), std::vector{kept->ref().value(), broken->ref().value()});
    EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 2; }));
    fill_pattern(kept->bytes(), 5);
    EXPECT_TRUE(good(std::move(*kept).seal()));
    { const Draft dropped = std::move(*broken); }
  } else {
    const auto refs = redeem_list(store, name("promises"));
    ASSERT_EQ(refs.size(), 2U);
    EXPECT_TRUE(fails(store.get(refs[0], kLong, kFail), Code::not_found));
    Op<Pin> kept = store.fetch(refs[0]), broken = store.fetch(refs[1]);
    kept.poll();
    const auto pin = std::move(kept).wait(kLong);
    ASSERT_TRUE(good(pin));
    EXPECT_TRUE(is_pattern(pin->bytes(), 5));
    EXPECT_TRUE(fails(std::move(broken).wait(kLong), Code::not_found, "dropped"));
    const auto waited = store.wait(refs, 2, kLong);
    ASSERT_TRUE(good(waited));
    EXPECT_EQ(waited->ready.size(), 2U);
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, AnUnsealedObjectOfAnotherIsWaitedFor) {
  EXPECT_TRUE(Ranks("promised", job(2)).all_good());
}

const Scenario kCancelled("cancelled", [](Line&) {
  Store store = join();
  constexpr std::uint64_t kSize = 20 << 20;
  if (store.rank() == 0) put_list(store, name("large"), std::vector{store.put(pattern(kSize, 7)).value()});
  if (store.rank() == 1) {
    const auto refs = redeem_list(store, name("large"));
    ASSERT_EQ(refs.size(), 1U);
    ASSERT_TRUE(good(store.get(refs[0], ByteRange{0, 1}, kLong)));  // connects, or maps
    const std::uint64_t reads = store.stats().remote_reads;
    // More than the arena holds at once, by a thread that then ends: nobody drives its lane any more.
    std::thread([&] {
      for (int i = 0; i < 12; ++i) {
        auto polled = store.fetch(refs[0], {.timeout = 24h}),
             dropped = store.fetch(refs[0], {.timeout = 24h});
        polled.poll();
        std::move(polled).cancel();
      }
    }).join();
    const auto largest = [&] { return store.stats().nodes.front().largest_free; };
    EXPECT_TRUE(comes_true([&] { return largest() >= 2 * kSize; })) << "what was cancelled keeps its memory";
    const auto pin = store.get(refs[0], kLong);
    ASSERT_TRUE(good(pin));
    EXPECT_TRUE(is_pattern(pin->bytes(), 7));
    if (by_fabric()) {
      EXPECT_LT(store.stats().remote_reads - reads, 12U * 20) << "cancelled transfers went on to their end";
    }
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, WhatIsCancelledEndsAndGivesItsMemoryBack) {
  EXPECT_TRUE(Ranks("cancelled", job(2, {{"HOLDFAST_ARENA", "64MiB"}})).all_good());
}

const Scenario kOneRead("one_read", [](Line&) {
  Store store = join();
  constexpr std::uint64_t kSizes[] = {8, 4096, 200000};
  // Rank 0 runs the barriers, so that the owner, rank 1, has nothing to serve.
  if (store.rank() == 1) {
    std::vector<ObjectRef> refs;
    for (const std::uint64_t size : kSizes) refs.push_back(store.put(pattern(size, size)).value());
    put_list(store, name_at(0, store.size(), "refs"), refs);
  }
  std::vector<ObjectRef> refs;
  if (store.rank() != 1) {
    refs = redeem_list(store, name_at(0, store.size(), "refs"));
    ASSERT_EQ(refs.size(), 3U);
    ASSERT_TRUE(good(store.get(refs[0], kLong)));  // connects, or maps
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  const std::uint64_t served = store.stats().requests_served;
  ASSERT_TRUE(good(store.barrier(kLong)));
  for (const ObjectRef& ref : refs) {
    const auto sends_nothing = [&] {
      const Stats before = store.stats();
      const auto pin = store.get(ref, kLong);
      const Stats after = store.stats();
      EXPECT_TRUE(good(pin) && is_pattern(pin->bytes(), ref.size()));
      EXPECT_EQ(after.remote_reads - before.remote_reads, by_fabric() ? 1U : 0U) << ref.size();
      return store.rank() == 0 || after.messages_sent == before.messages_sent;
    };
    EXPECT_TRUE(comes_true(sends_nothing)) << ref.size();  // again where it answers a probe meanwhile
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  if (store.rank() == 1) {
    EXPECT_EQ(store.stats().requests_served, served) << "the owner was disturbed";
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, AGetByReferenceIsOneReadAndTheOwnerIsNotDisturbed) {
  EXPECT_TRUE(Ranks("one_read", job(3)).all_good());
}

const Scenario kMany("many", [](Line&) {
  Store store = join();
  constexpr std::uint64_t kObjects = 200;
  if (store.rank() == 1) {
    std::vector<ObjectRef> refs;
    for (std::uint64_t i = 0; i < kObjects; ++i) refs.push_back(store.put(pattern(1000 + i, i)).value());
    refs.push_back(store.put(pattern(1_MiB, kObjects)).value());
    put_list(store, name("refs"), refs);
    ASSERT_TRUE(good(store.barrier(kLong)));
  } else {
    std::vector<ObjectRef> refs = redeem_list(store, name("refs"));
    ASSERT_EQ(refs.size(), kObjects + 1);
    ASSERT_TRUE(good(store.barrier(kLong)));  // the owner's own references are gone, or will be
    ASSERT_TRUE(good(store.erase(refs[77], kLong)));
    const auto looked = store.wait(refs, kObjects + 1, 0s);
    ASSERT_TRUE(good(looked));
    EXPECT_EQ(looked->ready.size(), kObjects) << "a look needs no time";
    EXPECT_EQ(looked->pending, std::vector<std::size_t>{77});
    std::reverse(refs.begin(), refs.end());
    refs.push_back(refs[5]);
    const std::uint64_t reads = store.stats().remote_reads;
    const auto pins = store.get_many(refs, kLong);
    ASSERT_EQ(pins.size(), refs.size());
    for (std::uint64_t i = 0; i < pins.size(); ++i) {
      const std::uint64_t object = i <= kObjects ? kObjects - i : kObjects - 5;
      if (object == 77) {
        EXPECT_TRUE(fails(pins[i], Code::not_found));
      } else {
        EXPECT_TRUE(good(pins[i]) && pins[i]->size() == refs[i].size() &&
                    is_pattern(pins[i]->bytes(), object))
            << i;
      }
    }
    if (by_fabric()) {
      EXPECT_LT(store.stats().remote_reads - reads, kObjects / 4) << "neighbours come together";
    }
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, GetManyFetchesNeighboursTogether) { EXPECT_TRUE(Ranks("many", job(2)).all_good()); }

const Scenario kErase("erase", [](Line&) {
  Store store = join();
  // Names that live with the owner, with the one who erases, and with a third.
  std::vector<Name> names;
  for (std::uint32_t i = 0; i < 6; ++i) names.push_back(name_at(i % 3, store.size(), "erased"));
  if (store.rank() == 1) {
    std::vector<ObjectRef> refs;
    for (const Name& each : names) refs.push_back(store.put(each, pattern(3000, 1)).value());
    put_list(store, name("refs"), refs);
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  const std::vector<ObjectRef> refs = redeem_list(store, name("refs"));
  ASSERT_EQ(refs.size(), names.size());
  for (const ObjectRef& ref : refs) EXPECT_TRUE(good(store.get(ref, kLong)));
  ASSERT_TRUE(good(store.barrier(kLong)));
  if (store.rank() == 0) {
    for (std::size_t i = 0; i < names.size(); ++i)
      ASSERT_TRUE(good(i < 3 ? store.erase(names[i], kLong) : store.erase(refs[i], kLong))) << i;
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  // Others lie where the erased ones lay.
  if (store.rank() == 1) {
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(good(store.put(pattern(3000, 2))));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_TRUE(fails(store.get(refs[i], kLong), Code::not_found)) << i;
    EXPECT_TRUE(fails(store.get(names[i], kLong, kFail), Code::not_found)) << i;
    EXPECT_FALSE(refs[i].is_ready());
    EXPECT_TRUE(fails(store.erase(refs[i], kLong), Code::not_found)) << i;
    EXPECT_TRUE(fails(store.erase(names[i], kLong), Code::not_found)) << i;
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  // Given anew by another member, the name means the new object.
  if (store.rank() == 2) {
    for (const Name& each : names) ASSERT_TRUE(good(store.put(each, pattern(100, 9))));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  for (const Name& each : names) {
    const auto pin = store.get(each, kLong);
    ASSERT_TRUE(good(pin));
    EXPECT_TRUE(is_pattern(pin->bytes(), 9));
    EXPECT_TRUE(fails(store.put(each, pattern(1, 1)), Code::exists));
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, AnybodyMayEraseAndNamesCanBeGivenAnew) { EXPECT_TRUE(Ranks("erase", job(3)).all_good()); }

const Scenario kDamage("damage", [](Line&) {
  Store store = join();
  const Name list = name("refs");
  if (store.rank() == 0) {
    const ObjectRef payload = store.put(pattern(200000, 1)).value(),
                    header = store.put(pattern(100, 2)).value(),
                    large = store.put(pattern(2'000'000, 3)).value();
    const auto poke = [&](const ObjectRef& ref, std::int64_t at) {
      const_cast<std::byte*>(store.get(ref, 0s, {.verify = Verify::never}).value().bytes().data())[at] ^=
          std::byte{4};
    };
    poke(payload, 70000);
    poke(large, 1'900'000);   // in its last piece, and not in a chunk that a range beside it needs
    poke(header, -128 + 20);  // 128 bytes of header and table stand before the payload
    put_list(store, list, std::vector{payload, header, large});
  } else {
    const auto refs = redeem_list(store, list);
    ASSERT_EQ(refs.size(), 3U);
    std::vector<std::byte> buffer(2'000'000);
    EXPECT_TRUE(fails(store.get(refs[2], kLong), Code::corrupt));
    EXPECT_TRUE(fails(store.get_into(refs[2], buffer, kLong), Code::corrupt));
    EXPECT_TRUE(fails(store.get(refs[2], ByteRange{100, 1'899'950}, kLong), Code::corrupt));
    EXPECT_TRUE(good(store.get(refs[2], ByteRange{100, 1'500'000}, kLong)));
    EXPECT_TRUE(fails(store.get(refs[0], kLong), Code::corrupt, "rank 0"));
    EXPECT_TRUE(fails(store.get_into(refs[0], buffer, kLong), Code::corrupt));
    EXPECT_TRUE(fails(store.get(refs[0], ByteRange{69999, 10}, kLong), Code::corrupt));
    EXPECT_TRUE(good(store.get(refs[0], ByteRange{0, 65536}, kLong)));
    EXPECT_TRUE(good(store.get(refs[0], ByteRange{131072, 1000}, kLong)));
    EXPECT_TRUE(good(store.get(refs[0], kLong, {.verify = Verify::never})));
    EXPECT_EQ(store.get(refs[0], kLong, {.verify = Verify::remote}).has_value(), !by_fabric());
    EXPECT_TRUE(fails(store.get(refs[1], kLong, {.verify = Verify::never}), Code::corrupt));
    const auto pins = store.get_many(refs, kLong);
    for (const auto& pin : pins) EXPECT_TRUE(fails(pin, Code::corrupt));
    EXPECT_GE(store.stats().corrupt, 6U);
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, DamagedMemoryOfAnotherIsCorrupt) { EXPECT_TRUE(Ranks("damage", job(2)).all_good()); }

const Scenario kBarriers("barriers", [](Line&) {
  Store store = join();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(good(store.put(name("round", i, store.rank()), {})));
    ASSERT_TRUE(good(store.barrier(kLong)));
    for (std::uint32_t rank = 0; rank < store.size(); ++rank)
      EXPECT_EQ(store.contains(name("round", i, rank), kLong), Result<bool>(true))
          << "passed before rank " << rank;
  }
  // One is late: those who wait say so, and come again; it finds that they had come.
  if (store.rank() != 1) {
    EXPECT_TRUE(fails(store.barrier(100ms), Code::timed_out));
  }
  if (store.rank() != 1) {
    EXPECT_TRUE(good(store.put(name("gave up", store.rank()), {})));
  }
  if (store.rank() == 1) {
    EXPECT_TRUE(good(store.get(name("gave up", 0), kLong)));
    EXPECT_TRUE(good(store.get(name("gave up", 2), kLong)));
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, ABarrierHoldsUntilAllHaveCome) { EXPECT_TRUE(Ranks("barriers", job(3)).all_good()); }

constexpr std::uint64_t kPlaces = 6, kPlaceBytes = 3000;
const Scenario kChurn("churn", [](Line&) {
  Store store = join();
  const auto put_at = [&](std::uint64_t place, std::uint64_t seed) {
    std::vector<std::byte> bytes = pattern(kPlaceBytes, seed);
    std::memcpy(bytes.data(), &seed, sizeof seed);
    return store.put(name("place", place), bytes);
  };
  if (store.rank() == 0) {
    Dice dice(1);
    for (std::uint64_t i = 0; i < kPlaces; ++i) ASSERT_TRUE(good(put_at(i, dice.next())));
    ASSERT_TRUE(good(store.barrier(kLong)));
    for (int round = 0; round < 1500; ++round) {
      const std::uint64_t place = dice.below(kPlaces);
      ASSERT_TRUE(good(store.erase(name("place", place), kLong)));
      ASSERT_TRUE(good(put_at(place, dice.next())));
    }
    ASSERT_TRUE(good(store.put(name("end"), {})));
  } else {
    ASSERT_TRUE(good(store.barrier(kLong)));
    Dice dice(store.rank());
    std::uint64_t seen = 0;
    const GetOptions unchecked{.verify = Verify::never, .missing = GetOptions::Missing::fail};
    const GetOptions checked{.missing = GetOptions::Missing::fail};
    while (seen == 0 || !store.contains(name("end"), kLong).value()) {
      // What lies in mapped memory must be right without a checksum; what was read must prove itself.
      const auto pin =
          store.get(name("place", dice.below(kPlaces)), kLong, by_fabric() ? checked : unchecked);
      if (!pin) {
        ASSERT_TRUE(fails(pin, Code::not_found));
        continue;
      }
      ++seen;
      for (int look = 0; look < 3; ++look) {
        std::uint64_t seed = 0;
        std::memcpy(&seed, pin->bytes().data(), sizeof seed);
        ASSERT_EQ(pin->size(), kPlaceBytes);
        ASSERT_TRUE(is_pattern(pin->bytes().subspan(8), seed, 8)) << "bytes changed under a pin";
        sched_yield();
      }
    }
    EXPECT_EQ(store.stats().corrupt, 0U);
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
  if (store.rank() == 0) {
    EXPECT_TRUE(comes_true([&] { return store.stats().blocks_awaiting_unpin == 0; }));
  }
  EXPECT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersTest, NoByteChangesUnderAPinOfAnotherWhileObjectsComeAndGo) {
  EXPECT_TRUE(Ranks("churn", job(3, {{"HOLDFAST_ARENA", "4MiB"}, {"HOLDFAST_CATALOGUE", "500"}})).all_good());
}

}  // namespace
}  // namespace holdfast::test
