// Opening, configuring, closing; what the counters say.
#include <fcntl.h>

#include "src/member.h"
#include "tests/core/store_fixture.h"

namespace holdfast::test {
namespace {

/// Sets a variable for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

class StoreLifeTest : public StoreTest {
 protected:
  /// All calls, each of which must say `invalid`.
  static void expect_unusable(Store& store) {
    const ObjectRef none;
    std::byte byte{};
    EXPECT_TRUE(fails(store.draft(1), Code::invalid));
    EXPECT_TRUE(fails(store.put({&byte, 1}), Code::invalid));
    EXPECT_TRUE(fails(store.put(name("a"), {&byte, 1}), Code::invalid));
    EXPECT_TRUE(fails(store.get(none, kLong), Code::invalid));
    EXPECT_TRUE(fails(store.get(name("a"), kLong), Code::invalid));
    EXPECT_TRUE(fails(store.get(none, ByteRange{}, kLong), Code::invalid));
    EXPECT_TRUE(fails(store.fetch(none).wait(kLong), Code::invalid));
    EXPECT_TRUE(fails(store.fetch(name("a")).wait(kLong), Code::invalid));
    EXPECT_TRUE(fails(store.get_into(none, {&byte, 1}, kLong), Code::invalid));
    const auto many = store.get_many(std::vector(2, none), kLong);
    ASSERT_EQ(many.size(), 2U);
    EXPECT_TRUE(fails(many[1], Code::invalid));
    EXPECT_TRUE(fails(store.wait({}, 0, kLong), Code::invalid));
    EXPECT_TRUE(fails(store.lookup(name("a"), kLong), Code::invalid));
    EXPECT_TRUE(fails(store.contains(none, kLong), Code::invalid));
    EXPECT_TRUE(fails(store.contains(name("a"), kLong), Code::invalid));
    EXPECT_TRUE(fails(store.erase(none, kLong), Code::invalid));
    EXPECT_TRUE(fails(store.erase(name("a"), kLong), Code::invalid));
    EXPECT_TRUE(fails(store.redeem("hf1-"), Code::invalid));
    EXPECT_TRUE(fails(store.barrier(kLong), Code::invalid));
    EXPECT_TRUE(fails(store.close(), Code::invalid));
    EXPECT_EQ(store.stats().puts, 0U);
  }
};

TEST_F(StoreLifeTest, AloneItIsRankZeroOfOne) {
  Store store = open();
  EXPECT_EQ(store.rank(), 0U);
  EXPECT_EQ(store.size(), 1U);
  EXPECT_FALSE(store.job().empty());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(good(store.barrier(kLong)));
}

TEST_F(StoreLifeTest, AClosedStoreAnswersInvalid) {
  Store store = open();
  const ObjectRef ref = put(store, 10, 1);
  auto draft = store.draft(10);
  ASSERT_TRUE(good(draft));
  ASSERT_TRUE(good(store.close()));
  expect_unusable(store);
  EXPECT_TRUE(fails(store.get(ref, kLong), Code::invalid, "closed"));
  EXPECT_FALSE(ref.is_ready());
  EXPECT_TRUE(fails(draft->ref(), Code::invalid, "closed"));
  fill_pattern(draft->bytes(), 1);  // still this draft's memory
  EXPECT_TRUE(fails(std::move(*draft).seal(), Code::invalid, "closed"));
}

// What is unmapped while a store closes would wait for pages being touched; its memory may live on with pins.
TEST_F(StoreLifeTest, ClosingEndsPrefaulting) {
  StoreOptions options = small_options();
  options.arena.bytes = 1_GiB;
  options.arena.prefault = numa::ArenaOptions::Prefault::background;
  const auto member = Member::open(options);
  ASSERT_TRUE(good(member));
  const auto prefaulted = [&] {
    std::uint64_t bytes = 0;
    for (const numa::SegmentReport& report : (*member)->job().memory->arena().report())
      bytes += report.bytes_prefaulted;
    return bytes;
  };
  ASSERT_TRUE(good((*member)->close()));
  const std::uint64_t before = prefaulted();
  (*member)->job().memory->arena().wait_prefaulted();
  EXPECT_EQ(prefaulted(), before);
}

TEST_F(StoreLifeTest, AMovedFromStoreAnswersInvalidAndTheNewOneWorks) {
  Store store = open();
  const ObjectRef ref = put(store, 10, 1);
  Store moved = std::move(store);
  expect_unusable(store);
  EXPECT_EQ(store.size(), 0U);
  EXPECT_TRUE(good(moved.get(ref, 0s)));
  store = std::move(moved);
  EXPECT_TRUE(good(store.get(ref, 0s)));
}

TEST_F(StoreLifeTest, OpensAgainAndAgainAndLeavesNoDescriptors) {
  const auto descriptors = [] {
    std::size_t n = 0;
    for (int fd = 0; fd < 1024; ++fd) n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return n;
  };
  { Store store = open(); }  // what libraries keep
  const std::size_t before = descriptors();
  for (int i = 0; i < 5; ++i) {
    Store store = open();
    EXPECT_TRUE(good(store.get(put(store, 1000, 1), 0s)));
    // Connects: libfabric 1.17 keeps the socket of an endpoint that is closed while it connects.
    EXPECT_TRUE(good(store.barrier(kLong)));
    EXPECT_TRUE(fails(store.get(name("nobody"), 1ms), Code::timed_out));
  }
  EXPECT_EQ(descriptors(), before);
}

TEST_F(StoreLifeTest, OptionsBeyondTheirBoundsAreInvalid) {
  const auto refused = [](auto change, std::string_view part) {
    StoreOptions options = small_options();
    change(options);
    return fails(Store::open(options), Code::invalid, part);
  };
  EXPECT_TRUE(refused([](StoreOptions& o) { o.arena.bytes = 0; }, ""));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.arena.bytes = 1ULL << 50; }, "1 PiB"));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.arena.nodes = {numa::NodeId{9999}}; }, "9999"));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.reading_endpoints = 0; }, "reading_endpoints"));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.reading_endpoints = 257; }, "reading_endpoints"));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.pins = 63; }, "pins"));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.pins = (1U << 24) + 1; }, "pins"));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.catalogue_entries = (1ULL << 32) + 1; }, "catalogue_entries"));
  EXPECT_TRUE(refused([](StoreOptions& o) { o.catalogue_entries = 10000000; }, "HOLDFAST_CATALOGUE"));
}

TEST_F(StoreLifeTest, AnUnknownProviderOrInterfaceIsNamed) {
  StoreOptions options = small_options();
  options.provider = "carrier-pigeon";
  const auto store = Store::open(options);
  ASSERT_FALSE(store);
  EXPECT_TRUE(fails(store, store.error().code, "carrier-pigeon"));
  options = small_options();
  options.interface = "no-such-interface0";
  const auto other = Store::open(options);
  ASSERT_FALSE(other);
  EXPECT_TRUE(fails(other, other.error().code, "no-such-interface0"));
}

TEST_F(StoreLifeTest, RequiredHugePagesThatAreNotThereAreUnsupportedWithTheFix) {
  StoreOptions options = small_options();
  options.arena.pages = {numa::Pages::huge_1g, numa::PagePolicy::Demand::require};
  auto store = Store::open(options);
  if (store) GTEST_SKIP() << "this machine has free 1 GiB pages";
  EXPECT_TRUE(fails(store, Code::unsupported, "nr_hugepages"));
}

TEST_F(StoreLifeTest, TheEnvironmentIsLaidOverTheDefaults) {
  const Variable variables[] = {{"HOLDFAST_ARENA", "32MiB"},          {"HOLDFAST_CATALOGUE", "5000"},
                                {"HOLDFAST_PAGES", "base"},           {"HOLDFAST_NODES", "0"},
                                {"HOLDFAST_PROVIDER", "net"},         {"HOLDFAST_INTERFACE", "lo"},
                                {"HOLDFAST_SAME_HOST", "fabric"},     {"HOLDFAST_VERIFY", "remote"},
                                {"HOLDFAST_OPEN_TIMEOUT", "7"},       {"HOLDFAST_COLLECT", "eager"},
                                {"HOLDFAST_PLACEMENT", "interleave"}, {"HOLDFAST_EVICTION", "s3_fifo"},
                                {"HOLDFAST_TOKEN_LIFETIME", "5"},     {"HOLDFAST_SPILL", "/a:/b c"},
                                {"HOLDFAST_SPILL_ABOVE", "70"},       {"HOLDFAST_MEMBER_TIMEOUT", "4"}};
  const auto options = StoreOptions::from_environment();
  ASSERT_TRUE(good(options));
  EXPECT_EQ(options->arena.bytes, 32_MiB);
  EXPECT_EQ(options->catalogue_entries, 5000U);
  EXPECT_EQ(options->arena.pages.largest, numa::Pages::base);
  EXPECT_EQ(options->arena.nodes, std::vector{numa::NodeId{0}});
  EXPECT_EQ(options->provider, "net");
  EXPECT_EQ(options->interface, "lo");
  EXPECT_EQ(options->same_host, SameHost::fabric);
  EXPECT_EQ(options->verify, Verify::remote);
  EXPECT_EQ(options->open_timeout, Duration(7s));
  EXPECT_EQ(options->lifetime.collect, Collect::eager);
  EXPECT_EQ(options->placement, Placement::interleave);
  EXPECT_EQ(options->lifetime.eviction, Eviction::s3_fifo);
  EXPECT_EQ(options->lifetime.token_lifetime, Duration(5s));
  EXPECT_EQ(options->lifetime.member_timeout, Duration(4s));
  EXPECT_EQ(options->lifetime.spill.directories, (std::vector<std::string>{"/a", "/b c"}));
  EXPECT_EQ(options->lifetime.spill.above_percent, 70U);
  StoreOptions given;
  given.pins = 1000;
  EXPECT_EQ(StoreOptions::from_environment(given).value().pins, 1000U) << "what no variable says stays";
}

TEST_F(StoreLifeTest, ValuesThatCannotBeReadNameTheVariable) {
  const std::pair<const char*, const char*> bad[] = {
      {"HOLDFAST_ARENA", "much"},       {"HOLDFAST_ARENA", "-1"},          {"HOLDFAST_CATALOGUE", "1e6"},
      {"HOLDFAST_CATALOGUE", "-5"},     {"HOLDFAST_PAGES", "enormous"},    {"HOLDFAST_PAGES", "require:"},
      {"HOLDFAST_NODES", "0,,1"},       {"HOLDFAST_NODES", "zero"},        {"HOLDFAST_NODES", "4294967296"},
      {"HOLDFAST_SAME_HOST", "Memory"}, {"HOLDFAST_VERIFY", "sometimes"},  {"HOLDFAST_OPEN_TIMEOUT", "soon"},
      {"HOLDFAST_OPEN_TIMEOUT", "5s"},  {"HOLDFAST_COLLECT", "never"},     {"HOLDFAST_PLACEMENT", "2"},
      {"HOLDFAST_EVICTION", "fifo"},    {"HOLDFAST_TOKEN_LIFETIME", "1m"}, {"HOLDFAST_SPILL_ABOVE", "80%"},
      {"HOLDFAST_MEMBER_TIMEOUT", "-1"}};
  for (const auto& [variable, value] : bad) {
    const Variable set(variable, value);
    EXPECT_TRUE(fails(StoreOptions::from_environment(), Code::invalid, variable)) << variable << "=" << value;
    EXPECT_TRUE(fails(Store::open(), Code::invalid)) << variable << "=" << value;
  }
  const Variable log("HOLDFAST_LOG", "loud");
  EXPECT_TRUE(fails(Store::open(small_options()), Code::invalid, "HOLDFAST_LOG"));
}

TEST_F(StoreLifeTest, AnUnknownVariableIsAnErrorThatNamesTheNearest) {
  const Variable misspelt("HOLDFAST_ARENAS", "1GiB");
  EXPECT_TRUE(fails(Store::open(), Code::invalid, "HOLDFAST_ARENAS"));
  EXPECT_TRUE(fails(Store::open(small_options()), Code::invalid, "did you mean HOLDFAST_ARENA"));
}

TEST_F(StoreLifeTest, StatsCountWhatWasDone) {
  Store store = open();
  const Stats before = store.stats();
  const ObjectRef a = put(store, 1000, 1), b = put(store, 500, 2);
  ASSERT_TRUE(good(store.put(name("c"), pattern(100, 3))));
  { const auto pins = store.get_many(std::vector{a, b}, 0s); }
  ASSERT_TRUE(good(store.get(name("c"), 0s)));
  ASSERT_TRUE(good(store.get(a, ByteRange{10, 50}, 0s)));
  ASSERT_TRUE(good(store.erase(b, 0s)));
  const Stats stats = store.stats();
  EXPECT_EQ(stats.objects, 2U);
  EXPECT_EQ(stats.object_bytes, 1100U);
  EXPECT_EQ(stats.names, 1U);
  EXPECT_EQ(stats.puts, 3U);
  EXPECT_EQ(stats.put_bytes, 1600U);
  EXPECT_EQ(stats.erases, 1U);
  EXPECT_EQ(stats.gets_local, 4U);
  EXPECT_EQ(stats.get_bytes_local, 1650U);
  EXPECT_EQ(stats.gets_shared + stats.gets_remote, 0U);
  EXPECT_EQ(stats.remote_reads + stats.corrupt + stats.quarantined + stats.members_lost, 0U);
  EXPECT_EQ(stats.messages_sent, before.messages_sent) << "nobody needs to be asked";
  EXPECT_EQ(stats.requests_served, 0U);
  EXPECT_FALSE(stats.provider.empty());
  EXPECT_FALSE(stats.provider_reason.empty());
  ASSERT_FALSE(stats.nodes.empty());
  std::uint64_t bytes = 0;
  for (const NodeStats& node : stats.nodes) {
    EXPECT_EQ(node.bytes_used + node.bytes_free, node.segment.bytes);
    EXPECT_LE(node.largest_free, node.bytes_free);
    bytes += node.segment.bytes;
  }
  EXPECT_EQ(bytes, 64_MiB);
}

}  // namespace
}  // namespace holdfast::test
