// Memory that was overwritten, as who reads it by fabric finds it.
#include "tests/core/damage.h"
#include "tests/core/ranks.h"

namespace holdfast::test {
namespace {

// Less than a reader with more time would look for, until he is sure.
constexpr Duration kShort = 300ms;

const Scenario kDamaged("damaged", [](Line&) {
  Store store = join();
  const Name told = name("token");
  if (store.rank() == 1) {
    const ObjectRef ref = store.put(pattern(1000, 1)).value();
    const std::string token = ref.token();
    ASSERT_TRUE(good(store.put(told, std::as_bytes(std::span(token)))));
    ASSERT_TRUE(good(store.barrier(kLong)));
    std::byte* const places[] = {block_of(store, ref) + 8, block_of(store, ref) + 16,
                                 entry_of(store, ref) + 30};
    for (std::byte* const place : places) {
      *place ^= std::byte{1};
      ASSERT_TRUE(good(store.barrier(kLong)));
      ASSERT_TRUE(good(store.barrier(kLong)));
      *place ^= std::byte{1};
      ASSERT_TRUE(good(store.barrier(kLong)));
      ASSERT_TRUE(good(store.barrier(kLong)));
    }
    return;
  }
  ObjectRef ref;
  {
    const auto token = store.get(told, kLong);
    ASSERT_TRUE(good(token));
    ref = store.redeem({reinterpret_cast<const char*>(token->bytes().data()), token->size()}, kLong).value();
  }
  EXPECT_TRUE(good(store.get(ref, kLong)));
  std::vector<std::byte> buffer(1000);
  ASSERT_TRUE(good(store.barrier(kLong)));
  for (const std::string_view what : {"magic", "id", "entry"}) {
    ASSERT_TRUE(good(store.barrier(kLong)));
    if (what == "entry") {
      EXPECT_TRUE(fails(store.contains(ref, kShort), Code::corrupt, "catalogue"));
    } else {
      EXPECT_TRUE(fails(store.get(ref, kShort), Code::corrupt)) << what;
      EXPECT_TRUE(fails(store.get_into(ref, buffer, kShort), Code::corrupt)) << what;
    }
    ASSERT_TRUE(good(store.barrier(kLong)));
    ASSERT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(good(store.get(ref, kLong))) << what;
    ASSERT_TRUE(good(store.barrier(kLong)));
  }
});
TEST(MembersDamageTest, DamageIsFoundOutByADeadlineThatIsShort) {
  EXPECT_TRUE(Ranks("damaged", {.size = 2, .variables = {{"HOLDFAST_SAME_HOST", "fabric"}}}).all_good());
}

}  // namespace
}  // namespace holdfast::test
