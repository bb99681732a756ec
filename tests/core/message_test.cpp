#include "src/message.h"

#include "holdfast/fabric/fabric.h"
#include "src/card.h"
#include "tests/core/expect.h"

namespace holdfast {
namespace {

using test::Dice;
using test::fails;
using test::good;
using test::pattern;

MessageHeader some_message(const std::vector<std::byte>& reply_to, const std::vector<std::byte>& body) {
  MessageHeader header;
  header.type = MessageType::await_name;
  header.from = 7;
  header.from_incarnation = 0x1122334455667788;
  header.to_incarnation = 0x99aabbccddeeff00;
  header.request = 42;
  header.reply_to = reply_to;
  header.body = body;
  return header;
}

Card some_card() {
  Card card;
  card.version = "0.1.0";
  card.provider = "net";
  card.protocol = "xnet";
  card.host = "boot/1/0";
  card.host_name = "node07";
  card.pid = 4711;
  card.incarnation = 0x1234;
  card.address = pattern(16, 1);
  card.host_socket = "holdfast-1234";
  card.fallbacks = "0:base;";
  card.arena_bytes = 1 << 20;
  card.catalogue_at = 4096;
  card.catalogue = {77};
  card.keys = {{0, {1, 2, 3}}, {4096, {5, 6, 7}}};
  return card;
}

/// Calls `read` with copies of `bytes` in memory of exactly their size (a sanitizer sees a read beyond): cut
/// short everywhere, then with random bytes changed.
template <class Read>
void damage(std::span<const std::byte> bytes, std::uint64_t seed, Read read) {
  for (std::size_t length = 0; length < bytes.size(); ++length)
    read(std::vector<std::byte>(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)), true);
  Dice dice(seed);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> copy(bytes.begin(),
                                bytes.begin() + static_cast<std::ptrdiff_t>(dice.below(bytes.size() + 1)));
    for (std::uint64_t flips = dice.below(4); flips > 0 && !copy.empty(); --flips)
      copy[dice.below(copy.size())] = static_cast<std::byte>(dice.next());
    read(std::move(copy), false);
  }
}

TEST(WireTest, EveryFieldComesBackInOrder) {
  WireWriter out;
  out.put<std::uint8_t>(200);
  out.put<std::int32_t>(-5);
  out.put<std::uint64_t>(~0ULL);
  out.put_text("halo");
  out.put_bytes({});
  WireReader in(out.bytes());
  EXPECT_EQ(in.get<std::uint8_t>(), 200);
  EXPECT_EQ(in.get<std::int32_t>(), -5);
  EXPECT_EQ(in.get<std::uint64_t>(), ~0ULL);
  EXPECT_EQ(in.get_text(), "halo");
  EXPECT_TRUE(in.get_bytes().empty());
  EXPECT_TRUE(in.ok() && in.at_end());
}

TEST(WireTest, PastTheEndEverythingIsZeroAndNotOk) {
  WireWriter out;
  out.put<std::uint32_t>(1000);  // as a length: far more than there is
  out.put<std::uint16_t>(7);
  WireReader in(out.bytes());
  EXPECT_TRUE(in.get_bytes().empty());
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.get<std::uint64_t>(), 0U);
  EXPECT_EQ(in.get_text(), "");
  EXPECT_FALSE(in.ok());
}

TEST(MessageTest, HeaderComesBack) {
  const auto reply_to = pattern(fabric::kMaxAddressBytes, 1), body = pattern(1000, 2);
  const auto bytes = encode(some_message(reply_to, body));
  EXPECT_LE(bytes.size(), fabric::kMaxMessageBytes);
  const auto back = decode_message(bytes);
  ASSERT_TRUE(good(back));
  EXPECT_EQ(back->type, MessageType::await_name);
  EXPECT_EQ(back->from, 7U);
  EXPECT_EQ(back->from_incarnation, 0x1122334455667788U);
  EXPECT_EQ(back->to_incarnation, 0x99aabbccddeeff00U);
  EXPECT_EQ(back->request, 42U);
  EXPECT_TRUE(std::ranges::equal(back->reply_to, reply_to));
  EXPECT_TRUE(std::ranges::equal(back->body, body));
}

TEST(MessageTest, CutOrLengthenedMessagesAndUnknownTypesAreRefusedAndGarbageNeverCrashes) {
  const auto reply_to = pattern(24, 1), body = pattern(60, 2);
  auto bytes = encode(some_message(reply_to, body));
  damage(bytes, 3, [](const std::vector<std::byte>& copy, bool cut) {
    const auto decoded = decode_message(copy);
    if (cut) {
      EXPECT_TRUE(fails(decoded, Code::invalid));
    } else if (decoded) {
      EXPECT_LE(decoded->reply_to.size() + decoded->body.size(), copy.size());
    }
  });
  constexpr auto kLast = static_cast<unsigned>(MessageType::look);
  for (const unsigned type : {0U, kLast + 1, 255U}) {
    auto strange = bytes;
    strange[4] = static_cast<std::byte>(type);
    EXPECT_TRUE(fails(decode_message(strange), Code::invalid)) << type;
  }
  bytes.push_back(std::byte{0});
  EXPECT_TRUE(fails(decode_message(bytes), Code::invalid));
}

TEST(MessageTest, KeysEntriesAndStatusesComeBack) {
  const Key key{1, 2, Key::Kind::name};
  const Entry entry{{3, 4}, 64 * 5, {6, BlockLayout::make_flags(false, 4096)}, MemberId{7}};
  WireWriter out;
  put_key(out, key);
  put_entry(out, entry);
  put_status(out, {});
  put_status(out, fail(Code::exists, "Store::put", "the name is taken"));
  WireReader in(out.bytes());
  EXPECT_EQ(get_key(in), key);
  EXPECT_EQ(get_entry(in), entry);
  EXPECT_TRUE(good(get_status(in)));
  const Status failed = get_status(in);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), (Error{Code::exists, "Store::put", "the name is taken"}));
  EXPECT_TRUE(in.at_end());
}

TEST(MessageTest, AnErrorFitsIntoAMessageHoweverLongItsText) {
  const std::string endless(100000, 'x');
  WireWriter out;
  put_status(out, tl::unexpected(Error{Code::system, endless, endless}));
  const auto reply_to = pattern(fabric::kMaxAddressBytes, 1);
  MessageHeader header;
  header.reply_to = reply_to;
  header.body = out.bytes();
  EXPECT_LE(encode(header).size(), fabric::kMaxMessageBytes);
}

TEST(MessageTest, AStatusThatCannotBeReadIsAnErrorOfAKnownCode) {
  WireWriter out;
  put_status(out, fail(Code::corrupt, "a", "b"));
  damage(out.bytes(), 4, [](const std::vector<std::byte>& copy, bool cut) {
    WireReader in(copy);
    const Status status = get_status(in);
    if (cut) {
      EXPECT_TRUE(fails(status, Code::system));
    } else if (!status) {
      EXPECT_LE(status.error().code, Code::system);
    }
  });
}

TEST(CardTest, ComesBackWhole) {
  const Card card = some_card();
  const auto back = Card::decode(card.encode());
  ASSERT_TRUE(good(back));
  EXPECT_EQ(back->encode(), card.encode());
  EXPECT_EQ(back->host_name, "node07");
  EXPECT_EQ(back->pid, 4711U);
  EXPECT_EQ(back->fallbacks, "0:base;");
  EXPECT_EQ(back->address, card.address);
  EXPECT_EQ(back->catalogue.buckets, 77U);
  ASSERT_EQ(back->keys.size(), 2U);
  EXPECT_EQ(back->keys[1].memory.key, 6U);
}

TEST(CardTest, AnotherProtocolVersionIsNamedAndGarbageIsRefused) {
  std::string text = some_card().encode();
  std::string other = text;
  other[8] = static_cast<char>(other[8] + 1);
  EXPECT_TRUE(fails(Card::decode(other), Code::unsupported, "same version"));
  EXPECT_TRUE(fails(Card::decode(""), Code::invalid));
  EXPECT_TRUE(fails(Card::decode(text + "x"), Code::invalid));
  damage(std::as_bytes(std::span(text)), 5, [](const std::vector<std::byte>& copy, bool cut) {
    const auto card = Card::decode({reinterpret_cast<const char*>(copy.data()), copy.size()});
    if (cut) {
      EXPECT_FALSE(card);
    }
  });
}

TEST(CardTest, MembersThatCannotTalkAreNamed) {
  std::vector<Card> cards(3, some_card());
  for (std::size_t i = 0; i < cards.size(); ++i) cards[i].incarnation = i + 1;
  EXPECT_TRUE(good(check_cards(cards)));
  cards[2].provider = "tcp;ofi_rxm";
  const Status status = check_cards(cards);
  EXPECT_TRUE(fails(status, Code::unsupported, "tcp;ofi_rxm"));
  EXPECT_TRUE(fails(status, Code::unsupported, "rank 2"));
  EXPECT_TRUE(fails(status, Code::unsupported, "net"));
  cards[2] = cards[1];
  EXPECT_TRUE(fails(check_cards(cards), Code::invalid, "ranks 1 and 2"));
}

}  // namespace
}  // namespace holdfast
