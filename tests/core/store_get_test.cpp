// Getting, waiting, looking up, and passing references on.
#include <algorithm>
#include <array>

#include "tests/core/store_fixture.h"

namespace holdfast::test {
namespace {

constexpr GetOptions kFail{.missing = GetOptions::Missing::fail};
constexpr std::uint64_t kChunk = 64 * 1024;

using StoreGetTest = StoreTest;

TEST_F(StoreGetTest, AnUnknownNameIsNotFoundAtOnceOrTimesOut) {
  Store store = open();
  EXPECT_TRUE(fails(store.get(name("nobody"), 0s), Code::not_found, "nobody"));
  EXPECT_TRUE(fails(store.get(name("nobody"), kLong, kFail), Code::not_found, "nobody"));
  EXPECT_TRUE(fails(store.lookup(name("nobody"), 0s), Code::not_found));
  EXPECT_EQ(store.contains(name("nobody"), kLong), Result<bool>(false));
  const TimePoint start = real_clock().now();
  EXPECT_TRUE(fails(store.get(name("nobody"), 50ms), Code::timed_out, "nobody"));
  EXPECT_TRUE(fails(store.lookup(name("nobody"), 50ms), Code::timed_out, "nobody"));
  EXPECT_GE(real_clock().now() - start, 100ms);
  // Who gave up is not waited for.
  EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 0; }));
}

TEST_F(StoreGetTest, AGetOfANameIsWokenByThePut) {
  Store store = open();
  std::thread putter([&] {
    EXPECT_TRUE(comes_true([&] { return store.stats().waiters == 1; }));
    EXPECT_TRUE(good(store.put(name("late"), pattern(3000, 4))));
  });
  const auto pin = store.get(name("late"), kLong);
  putter.join();
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 4));
}

TEST_F(StoreGetTest, LookupGivesTheReferenceBehindAName) {
  Store store = open();
  const auto ref = store.put(name("a"), pattern(10, 1));
  ASSERT_TRUE(good(ref));
  const auto found = store.lookup(name("a"), 0s);
  ASSERT_TRUE(good(found));
  EXPECT_EQ(*found, *ref);
  EXPECT_EQ(found->size(), 10U);
  EXPECT_EQ(std::hash<ObjectRef>()(*found), std::hash<ObjectRef>()(*ref));
  EXPECT_EQ(store.contains(name("a"), 0s), Result<bool>(true));
  EXPECT_EQ(store.contains(*ref, 0s), Result<bool>(true));
}

TEST_F(StoreGetTest, RangesGiveExactlyTheirBytes) {
  Store store = open();
  constexpr std::uint64_t kSize = 3 * kChunk + 777;
  const ObjectRef ref = put(store, kSize, 8);
  const ByteRange ranges[] = {
      {0, 0},           {0, 1},     {5, 100},       {kChunk - 1, 2}, {kChunk, kChunk},
      {10, kSize - 10}, {0, kSize}, {kSize - 1, 1}, {kSize, 0},      {2 * kChunk + 5, kChunk}};
  for (const ByteRange& range : ranges) {
    const auto pin = store.get(ref, range, 0s);
    ASSERT_TRUE(good(pin)) << range.offset << "+" << range.bytes;
    EXPECT_EQ(pin->size(), range.bytes);
    EXPECT_TRUE(is_pattern(pin->bytes(), 8, range.offset));
  }
}

TEST_F(StoreGetTest, ARangeThatEndsBeyondTheObjectIsInvalid) {
  Store store = open();
  const ObjectRef ref = put(store, 1000, 8), empty = put(store, 0, 8);
  for (const ByteRange& range : {ByteRange{0, 1001}, ByteRange{1000, 1}, ByteRange{1001, 0},
                                 ByteRange{~0ULL, 2}, ByteRange{2, ~0ULL}, ByteRange{500, 501}})
    EXPECT_TRUE(fails(store.get(ref, range, 0s), Code::invalid, "1000"))
        << range.offset << "+" << range.bytes;
  EXPECT_TRUE(fails(store.get(empty, ByteRange{0, 1}, 0s), Code::invalid));
  EXPECT_TRUE(good(store.get(empty, ByteRange{0, 0}, 0s)));
}

TEST_F(StoreGetTest, GetIntoFillsTheBufferAndNothingBeyondTheObject) {
  Store store = open();
  const ObjectRef ref = put(store, 200000, 9);
  std::vector<std::byte> buffer(200100, std::byte{0xee});
  EXPECT_EQ(store.get_into(ref, buffer, 0s), Result<std::uint64_t>(200000));
  EXPECT_TRUE(is_pattern(std::span(buffer).first(200000), 9));
  for (const std::byte byte : std::span(buffer).subspan(200000)) ASSERT_EQ(byte, std::byte{0xee});
  std::ranges::fill(buffer, std::byte{0xee});
  EXPECT_TRUE(fails(store.get_into(ref, std::span(buffer).first(199999), 0s), Code::invalid, "199999"));
  for (const std::byte byte : buffer) ASSERT_EQ(byte, std::byte{0xee});
  EXPECT_EQ(store.get_into(put(store, 0, 0), {}, 0s), Result<std::uint64_t>(0));
}

TEST_F(StoreGetTest, TypedViewsLeaveARemainderOut) {
  Store store = open();
  const std::array<double, 3> values{1.5, 2.5, 3.5};
  std::vector<std::byte> bytes(3 * sizeof(double) + 3);
  std::ranges::copy(std::as_bytes(std::span(values)), bytes.begin());
  const auto pin = store.get(store.put(bytes).value(), 0s);
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(std::ranges::equal(pin->as<double>(), values));
}

TEST_F(StoreGetTest, GetManyKeepsTheOrderAndOneFailureDisturbsNoOther) {
  Store store = open();
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = 0; i < 20; ++i) refs.push_back(put(store, 1000 + i, i));
  ASSERT_TRUE(good(store.erase(refs[7], 0s)));
  refs[3] = ObjectRef();
  refs.push_back(refs[5]);
  const auto pins = store.get_many(refs, 0s);
  ASSERT_EQ(pins.size(), refs.size());
  for (std::uint64_t i = 0; i < pins.size(); ++i) {
    const std::uint64_t object = i == 20 ? 5 : i;
    if (i == 7) {
      EXPECT_TRUE(fails(pins[i], Code::not_found));
    } else if (i == 3) {
      EXPECT_TRUE(fails(pins[i], Code::invalid, "empty"));
    } else {
      EXPECT_TRUE(good(pins[i]) && is_pattern(pins[i]->bytes(), object) && pins[i]->size() == 1000 + object)
          << i;
    }
  }
  EXPECT_TRUE(store.get_many({}, 0s).empty());
}

TEST_F(StoreGetTest, WhatIsNotWaitedForAnyMoreIsCalledOff) {
  Store store = open();
  const ObjectRef sealed = put(store, 10, 1);
  const auto draft = store.draft(10);
  ASSERT_TRUE(good(draft));
  const ObjectRef promised = draft->ref().value();
  // The owner heard that somebody waits, and then that he does not: long before the deadline.
  std::uint64_t heard = 0;
  const auto called_off = [&] {
    heard += 2;
    return comes_true([&] { return store.stats().requests_served >= heard && store.stats().waiters == 0; });
  };
  EXPECT_TRUE(fails(store.get(promised, 50ms), Code::timed_out)) << "connects";
  EXPECT_TRUE(called_off());

  const auto waited = store.wait(std::vector{sealed, promised}, 1, 24h);
  ASSERT_TRUE(good(waited));
  EXPECT_EQ(waited->pending, (std::vector<std::size_t>{1}));
  EXPECT_TRUE(called_off());

  auto fetching = store.fetch(promised, {.timeout = 24h});
  EXPECT_TRUE(comes_true([&] { return fetching.poll() || store.stats().waiters == 1; }));
  std::move(fetching).cancel();
  EXPECT_TRUE(called_off());

  auto late = store.fetch(promised, {.timeout = 24h});
  EXPECT_TRUE(fails(std::move(late).wait(1ms), Code::timed_out));
  EXPECT_TRUE(called_off());
}

TEST_F(StoreGetTest, WaitTellsReadyFromPending) {
  Store store = open();
  const ObjectRef sealed = put(store, 10, 1), erased = put(store, 10, 2);
  ASSERT_TRUE(good(store.erase(erased, 0s)));
  auto draft = store.draft(10);
  ASSERT_TRUE(good(draft));
  const std::vector<ObjectRef> refs{sealed, draft->ref().value(), erased};
  const auto looked = store.wait(refs, 3, 0s);
  ASSERT_TRUE(good(looked));
  EXPECT_EQ(looked->ready, (std::vector<std::size_t>{0}));
  EXPECT_EQ(looked->pending, (std::vector<std::size_t>{1, 2}))
      << "nobody was asked whether it will ever come";
  const auto timed_out = store.wait(refs, 3, 20ms);
  ASSERT_TRUE(good(timed_out)) << "the timeout is not an error";
  EXPECT_EQ(std::ranges::count(timed_out->pending, 1U), 1);
  const auto enough = store.wait(refs, 2, kLong);
  ASSERT_TRUE(good(enough));
  EXPECT_EQ(enough->ready, (std::vector<std::size_t>{0, 2}));
  EXPECT_EQ(enough->pending, (std::vector<std::size_t>{1}));
  EXPECT_TRUE(fails(store.wait(refs, 4, 0s), Code::invalid));
  EXPECT_TRUE(fails(store.wait(std::vector{ObjectRef()}, 1, 0s), Code::invalid));
  std::thread sealer([&] {
    EXPECT_TRUE(comes_true([&] { return store.stats().waiters >= 1; }));
    EXPECT_TRUE(good(std::move(*draft).seal()));
  });
  const auto all = store.wait(refs, 3, kLong);
  sealer.join();
  ASSERT_TRUE(good(all));
  EXPECT_EQ(all->ready.size(), 3U);
  EXPECT_TRUE(all->pending.empty());
}

TEST_F(StoreGetTest, AFetchOfWhatIsThereIsReadyAtOnce) {
  Store store = open();
  const auto ref = store.put(name("a"), pattern(100, 1));
  ASSERT_TRUE(good(ref));
  Op<Pin> by_ref = store.fetch(*ref);
  EXPECT_TRUE(by_ref.poll());
  const auto pin = std::move(by_ref).wait(0s);
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 1));
  EXPECT_TRUE(by_ref.poll()) << "nothing is under way";
  EXPECT_TRUE(fails(std::move(by_ref).wait(0s), Code::invalid));
  EXPECT_TRUE(good(store.fetch(name("a")).wait(kLong)));
  EXPECT_TRUE(fails(store.fetch(ObjectRef()).wait(kLong), Code::invalid, "empty"));
}

TEST_F(StoreGetTest, AFetchEndsByItsOwnDeadlineOrTheWaitersAndCanBeCancelled) {
  Store store = open();
  EXPECT_TRUE(fails(store.fetch(name("never"), {.timeout = 20ms}).wait(kLong), Code::timed_out));
  EXPECT_TRUE(fails(store.fetch(name("never")).wait(20ms), Code::timed_out));
  Op<Pin> cancelled = store.fetch(name("never"));
  EXPECT_FALSE(cancelled.poll());
  std::move(cancelled).cancel();
  EXPECT_TRUE(fails(std::move(cancelled).wait(kLong), Code::invalid));
  { const Op<Pin> dropped = store.fetch(name("never")); }
  Op<Pin> replaced = store.fetch(name("never"));
  ASSERT_TRUE(good(store.put(name("there"), pattern(10, 1))));
  replaced = store.fetch(name("there"));
  EXPECT_TRUE(good(std::move(replaced).wait(kLong)));
}

TEST_F(StoreGetTest, ANamePublishedDuringAFetchEndsIt) {
  Store store = open();
  Op<Pin> op = store.fetch(name("soon"));
  EXPECT_FALSE(op.poll());
  ASSERT_TRUE(good(store.put(name("soon"), pattern(500, 2))));
  const auto pin = std::move(op).wait(kLong);
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 2));
}

TEST_F(StoreGetTest, WaitAnyGivesOneThatIsReady) {
  Store store = open();
  Op<Pin> never = store.fetch(name("never")), soon = store.fetch(name("soon")),
          consumed = store.fetch(name("x"));
  std::move(consumed).cancel();
  Op<Pin>* const ops[] = {&consumed, &never, &soon};
  EXPECT_TRUE(fails(Op<Pin>::wait_any(ops, 20ms), Code::timed_out));
  std::thread putter([&] { EXPECT_TRUE(good(store.put(name("soon"), pattern(5, 2)))); });
  EXPECT_EQ(Op<Pin>::wait_any(ops, kLong), Result<std::size_t>(2));
  putter.join();
  EXPECT_TRUE(good(std::move(soon).wait(0s)));
  std::move(never).cancel();
  EXPECT_TRUE(fails(Op<Pin>::wait_any(ops, kLong), Code::invalid));
  EXPECT_TRUE(fails(Op<Pin>::wait_any({}, kLong), Code::invalid));
}

TEST_F(StoreGetTest, AnOperationMayOutliveItsStore) {
  Store store = open();
  Op<Pin> op = store.fetch(name("never"));
  EXPECT_FALSE(op.poll());
  ASSERT_TRUE(good(store.close()));
  EXPECT_FALSE(std::move(op).wait(kLong));
}

TEST_F(StoreGetTest, PinsOutliveTheirStore) {
  Pin kept;
  {
    Store store = open();
    auto pin = store.get(put(store, 100000, 6), 0s);
    ASSERT_TRUE(good(pin));
    kept = std::move(*pin);
    EXPECT_TRUE(pin->bytes().empty());
    ASSERT_TRUE(good(store.close()));
  }
  EXPECT_TRUE(is_pattern(kept.bytes(), 6));
  kept.release();
  EXPECT_EQ(kept.size(), 0U);
}

TEST_F(StoreGetTest, MorePinsThanOpenedForIsFullAndReleasingOneHelps) {
  StoreOptions options = small_options();
  options.pins = 64;
  Store store = open(options);
  const ObjectRef ref = put(store, 10, 1);
  std::vector<Pin> pins;
  for (int i = 0; i < 64; ++i) {
    auto pin = store.get(ref, 0s);
    ASSERT_TRUE(good(pin)) << i;
    pins.push_back(std::move(*pin));
  }
  EXPECT_TRUE(fails(store.get(ref, 0s), Code::full, "64"));
  pins[10].release();
  EXPECT_TRUE(good(store.get(ref, 0s)));
}

TEST_F(StoreGetTest, TokensBecomeTheReferenceAgain) {
  Store store = open();
  const ObjectRef ref = put(store, 12345, 6);
  const std::string token = ref.token();
  EXPECT_LT(token.size(), 160U);
  for (const char c : token) EXPECT_TRUE(std::isgraph(static_cast<unsigned char>(c)));
  const auto redeemed = store.redeem(token);
  ASSERT_TRUE(good(redeemed));
  EXPECT_EQ(*redeemed, ref);
  EXPECT_EQ(redeemed->size(), ref.size());
  EXPECT_EQ(redeemed->owner(), ref.owner());
  EXPECT_TRUE(is_pattern(store.get(*redeemed, 0s).value().bytes(), 6));
}

TEST_F(StoreGetTest, TruncatedAndAlteredTokensAreInvalid) {
  Store store = open();
  const std::string token = put(store, 10, 6).token();
  for (std::size_t length = 0; length < token.size(); ++length)
    EXPECT_TRUE(fails(store.redeem(token.substr(0, length)), Code::invalid)) << length;
  EXPECT_TRUE(fails(store.redeem(token + "0"), Code::invalid));
  EXPECT_TRUE(fails(store.redeem(token + "00"), Code::invalid));
  for (std::size_t i = 0; i < token.size(); ++i)
    for (const char c : {'0', '1', '7', 'e', 'z', '\0'}) {
      std::string altered = token;
      if (altered[i] == c) continue;
      altered[i] = c;
      EXPECT_TRUE(fails(store.redeem(altered), Code::invalid)) << i << " " << c;
    }
}

TEST_F(StoreGetTest, ReferencesAndTokensOfAnotherJobAreInvalid) {
  Store store = open(), other = open();
  const ObjectRef foreign = put(other, 10, 1);
  EXPECT_TRUE(fails(store.redeem(foreign.token()), Code::invalid, "another job"));
  EXPECT_TRUE(fails(store.get(foreign, kLong), Code::invalid));
  EXPECT_TRUE(fails(store.erase(foreign, kLong), Code::invalid));
  EXPECT_TRUE(good(other.get(foreign, 0s)));
}

TEST_F(StoreGetTest, AnEmptyReferenceIsInvalidEverywhere) {
  Store store = open();
  const ObjectRef none;
  EXPECT_FALSE(none);
  EXPECT_FALSE(none.is_ready());
  EXPECT_EQ(none.token(), "");
  std::byte byte;
  EXPECT_TRUE(fails(store.get(none, 0s), Code::invalid));
  EXPECT_TRUE(fails(store.get(none, ByteRange{0, 0}, 0s), Code::invalid));
  EXPECT_TRUE(fails(store.get_into(none, {&byte, 1}, 0s), Code::invalid));
  EXPECT_TRUE(fails(store.contains(none, 0s), Code::invalid));
  EXPECT_TRUE(fails(store.erase(none, 0s), Code::invalid));
}

}  // namespace
}  // namespace holdfast::test
