// Tokens that were altered, with a checksum that fits: refused where somebody can say so, and harmless where
// nobody can.
#include <fmt/format.h>

#include <cstring>

#include "holdfast/base/checksum.h"
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

class MembersForgedTest : public ::testing::TestWithParam<const char*> {
 protected:
  static Ranks::Options job() { return {.size = 2, .variables = {{"HOLDFAST_SAME_HOST", GetParam()}}}; }
};
INSTANTIATE_TEST_SUITE_P(SameHost, MembersForgedTest, ::testing::Values("memory", "fabric"),
                         [](const auto& mode) { return std::string(mode.param); });

constexpr std::string_view kPrefix = "hf2-";
// In a token's bytes: job, id, owner, its incarnation, then these.
constexpr std::size_t kLocationAt = 8 + 16 + 4 + 8, kSizeAt = kLocationAt + 8;

/// The token with other bytes in it, and the checksum of those.
std::string forge(const std::string& token, std::size_t at, std::uint64_t value) {
  std::vector<std::byte> bytes;
  for (std::size_t i = kPrefix.size(); i < token.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(token.substr(i, 2), nullptr, 16)));
  std::memcpy(bytes.data() + at, &value, sizeof value);
  const std::size_t end = bytes.size() - sizeof(std::uint32_t);
  const auto sum = static_cast<std::uint32_t>(checksum(std::span(bytes).first(end)));
  std::memcpy(bytes.data() + end, &sum, sizeof sum);
  std::string forged(kPrefix);
  for (const std::byte byte : bytes) forged += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return forged;
}

std::string hear(Store& store, const Name& as) {
  const auto pin = store.get(as, kLong);
  EXPECT_TRUE(good(pin));
  return pin ? std::string(reinterpret_cast<const char*>(pin->bytes().data()), pin->size()) : std::string();
}

/// A buffer that a get_into has no right to write to, beyond its first `bytes`.
void expect_refused(Store& store, const ObjectRef& ref, std::size_t bytes) {
  std::vector<std::byte> guarded(2_MiB, std::byte{0x5a});
  EXPECT_TRUE(fails(store.get_into(ref, std::span(guarded).first(bytes), kLong), Code::invalid, "too small"));
  EXPECT_EQ(guarded, std::vector<std::byte>(2_MiB, std::byte{0x5a}));
}

const Scenario kForged("forged", [](Line&) {
  Store store = join();
  const Name sealed = name("sealed"), promised = name("promised"), redeemed = name("redeemed");
  if (store.rank() == 1) {
    const ObjectRef ref = store.put(pattern(1_MiB, 1)).value();
    Draft draft = store.draft(1_MiB).value();
    const std::string token = ref.token(), other = draft.ref().value().token();
    EXPECT_TRUE(fails(store.redeem(forge(token, kSizeAt, 1)), Code::invalid, "altered"))
        << "by the owner, too";
    ASSERT_TRUE(good(store.put(sealed, std::as_bytes(std::span(token)))));
    ASSERT_TRUE(good(store.put(promised, std::as_bytes(std::span(other)))));
    EXPECT_EQ(hear(store, redeemed), "yes");
    fill_pattern(draft.bytes(), 2);
    ASSERT_TRUE(good(std::move(draft).seal()));
    ASSERT_TRUE(good(store.barrier(kLong)));
    return;
  }
  const std::string token = hear(store, sealed), other = hear(store, promised);
  const std::string forged = forge(token, kSizeAt, 1);
  EXPECT_TRUE(fails(store.redeem(forged, kLong), Code::invalid, "altered"));
  const auto ref = store.redeem(token, kLong);
  ASSERT_TRUE(good(ref));
  EXPECT_TRUE(fails(store.redeem(forged, kLong), Code::invalid, "altered"))
      << "also where it is held already";
  // How long an object will be that is not sealed yet, its owner does not know.
  std::vector<ObjectRef> false_ones;
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1_MiB - 1}}) {
    const auto false_one = store.redeem(forge(other, kSizeAt, size), kLong);
    ASSERT_TRUE(good(false_one));
    EXPECT_EQ(false_one->size(), size);
    false_ones.push_back(*false_one);
  }
  const auto longer = store.redeem(forge(other, kSizeAt, 2_MiB), kLong);
  const auto astray = store.redeem(forge(other, kLocationAt, 64_MiB - 64), kLong);
  ASSERT_TRUE(good(longer));
  ASSERT_TRUE(good(astray));
  ASSERT_TRUE(good(store.put(redeemed, std::as_bytes(std::span(std::string_view("yes"))))));
  for (const ObjectRef& false_one : false_ones) {
    EXPECT_TRUE(good(store.wait(std::vector{false_one}, 1, kLong)));
    expect_refused(store, false_one, false_one.size());
    const auto pin = store.get(false_one, kLong);
    ASSERT_TRUE(good(pin));
    EXPECT_TRUE(pin->size() == 1_MiB && is_pattern(pin->bytes(), 2)) << "what there is";
  }
  std::vector<std::byte> buffer(2_MiB);
  const auto size = store.get_into(*longer, buffer, kLong);
  ASSERT_TRUE(good(size));
  EXPECT_EQ(*size, 1_MiB) << "what was written";
  EXPECT_TRUE(is_pattern(std::span(buffer).first(1_MiB), 2));
  const auto pin = store.get(*astray, kLong);
  ASSERT_TRUE(good(pin));
  EXPECT_TRUE(is_pattern(pin->bytes(), 2));
  ASSERT_TRUE(good(store.barrier(kLong)));
});
TEST_P(MembersForgedTest, ATokenThatWasAlteredMakesNobodyWriteBeyondHisBuffer) {
  EXPECT_TRUE(Ranks("forged", job()).all_good());
}

}  // namespace
}  // namespace holdfast::test
