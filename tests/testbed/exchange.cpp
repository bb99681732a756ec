// Everybody gets what everybody put, in every way there is: from memory where they share a host, through the
// fabric where they do not.
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "holdfast/fabric/ofi.h"
#include "tests/testbed/job.h"

namespace holdfast::test {
namespace {

constexpr std::uint64_t kSizes[] = {0, 8, 4096, 65537, 1 << 20, 5 << 20};
constexpr std::uint64_t kSmall = 40;  // objects without a name, for get_many

std::uint64_t seed_of(std::uint32_t rank, std::uint64_t size) { return size << 8 | rank; }

void put_all(Store& store) {
  for (const std::uint64_t size : kSizes)
    ASSERT_TRUE(
        good(store.put(name("object", store.rank(), size), pattern(size, seed_of(store.rank(), size)))));
  std::string tokens;
  for (std::uint64_t i = 0; i < kSmall; ++i) {
    const auto ref = store.put(pattern(1000 + i, seed_of(store.rank(), i)));
    ASSERT_TRUE(good(ref));
    tokens += ref->token() + '\n';
  }
  ASSERT_TRUE(good(store.put(name("tokens", store.rank()), bytes_of(tokens))));
  ASSERT_TRUE(good(store.put(name("host", store.rank()), bytes_of(host_name()))));
}

/// Gets of one object of another, each checked; how many.
std::uint64_t get_object(Store& store, std::uint32_t other, std::uint64_t size) {
  const Name theirs = name("object", other, size);
  const std::uint64_t seed = seed_of(other, size);
  const auto ref = store.lookup(theirs, kLong);
  EXPECT_TRUE(good(ref));
  if (!ref) return 0;
  EXPECT_EQ(ref->owner(), MemberId{other});
  const auto by_name = store.get(theirs, kLong), by_ref = store.fetch(*ref).wait(kLong);
  const auto part = store.get(*ref, ByteRange{size / 3, size / 2}, kLong);
  std::vector<std::byte> buffer(size);
  const auto copied = store.get_into(*ref, buffer, kLong);
  EXPECT_TRUE(good(by_name) && good(by_ref) && good(part) && good(copied)) << size;
  if (by_name && by_ref && part) {
    EXPECT_TRUE(by_name->size() == size && is_pattern(by_name->bytes(), seed)) << size;
    EXPECT_TRUE(by_ref->size() == size && is_pattern(by_ref->bytes(), seed)) << size;
    EXPECT_TRUE(part->size() == size / 2 && is_pattern(part->bytes(), seed, size / 3)) << size;
  }
  EXPECT_TRUE(is_pattern(buffer, seed)) << size;
  return 4;
}

std::uint64_t get_small_ones(Store& store, std::uint32_t other) {
  const auto pin = store.get(name("tokens", other), kLong);
  EXPECT_TRUE(good(pin));
  std::vector<ObjectRef> refs;
  std::string text = pin ? text_of(*pin) : "";
  for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    auto ref = store.redeem(std::string_view(text).substr(0, end));
    EXPECT_TRUE(good(ref));
    if (ref) refs.push_back(*ref);
  }
  EXPECT_EQ(refs.size(), kSmall);
  const auto pins = store.get_many(refs, kLong);
  for (std::uint64_t i = 0; i < pins.size(); ++i)
    EXPECT_TRUE(good(pins[i]) && is_pattern(pins[i]->bytes(), seed_of(other, i))) << i;
  return 1 + pins.size();
}

void get_all_of(Store& store, std::uint32_t other, bool shares_host) {
  const Stats before = store.stats();
  std::uint64_t gets = get_small_ones(store, other);
  for (const std::uint64_t size : kSizes) gets += get_object(store, other, size);
  const Stats after = store.stats();
  const std::uint64_t shared = after.gets_shared - before.gets_shared,
                      remote = after.gets_remote - before.gets_remote;
  EXPECT_EQ(shared, shares_host ? gets : 0) << "rank " << other;
  EXPECT_EQ(remote, shares_host ? 0 : gets) << "rank " << other;
}

/// Each promises an object to its neighbour before it is sealed; it has a part, which nothing else keeps
/// then.
void promise_one_each(Store& store) {
  const std::uint32_t me = store.rank(), previous = (me + store.size() - 1) % store.size();
  constexpr std::uint64_t kSize = 5000, kPart = 100;
  PutOptions with_part;
  with_part.parts.push_back(store.put(pattern(kPart, me)).value());
  auto draft = store.draft(kSize, with_part);
  with_part.parts.clear();
  ASSERT_TRUE(good(draft));
  fill_pattern(draft->bytes(), me);
  ASSERT_TRUE(good(store.put(name("draft", me), bytes_of(draft->ref().value().token()))));
  const auto told = store.get(name("draft", previous), kLong);
  ASSERT_TRUE(good(told));
  const auto theirs = store.redeem(text_of(*told));
  ASSERT_TRUE(good(theirs));
  ASSERT_TRUE(good(store.barrier(kLong)));  // all have been promised theirs
  ASSERT_TRUE(good(std::move(*draft).seal()));
  const std::vector<ObjectRef> promised{*theirs};
  const auto waited = store.wait(promised, 1, kLong);
  ASSERT_TRUE(good(waited));
  EXPECT_EQ(waited->ready.size(), 1U);
  EXPECT_TRUE(good(store.prefetch(promised)));
  EXPECT_TRUE(store.contains(*theirs, kLong).value());
  const auto pin = store.get(*theirs, kLong);
  EXPECT_TRUE(good(pin) && pin->size() == kSize && is_pattern(pin->bytes(), previous));
  const auto parts = store.parts(*theirs, kLong);
  ASSERT_TRUE(good(parts));
  ASSERT_EQ(parts->size(), 1U);
  const auto part = store.get(parts->front(), kLong);
  EXPECT_TRUE(good(part) && part->size() == kPart && is_pattern(part->bytes(), previous));
  ASSERT_TRUE(good(store.barrier(kLong)));
}

/// What is known of an object without getting it; and it is found by its id while somebody keeps it.
void ask_about_own(Store& store) {
  const ObjectRef ref = store.put(pattern(100, 1)).value();
  const auto why = store.why(ref, kLong);
  EXPECT_TRUE(good(why) && why->find(ref.id().to_hex()) != std::string::npos);
  const auto found = store.find(ref.id(), kLong);
  EXPECT_TRUE(good(found) && *found == ref);
  EXPECT_TRUE(store.contains(name("host", store.rank()), kLong).value());
  EXPECT_TRUE(good(store.erase(ref, kLong)));
  EXPECT_FALSE(store.contains(ref, kLong).value());
}

/// Each erases an object of its neighbour, and nobody finds it any more.
void erase_one_each(Store& store) {
  const std::uint32_t next = (store.rank() + 1) % store.size();
  if (store.size() > 1) {
    EXPECT_TRUE(good(store.erase(name("object", next, 8), kLong)));
  }
  ASSERT_TRUE(good(store.barrier(kLong)));
  for (std::uint32_t rank = 0; store.size() > 1 && rank < store.size(); ++rank)
    EXPECT_TRUE(fails(store.get(name("object", rank, 8), kLong, {.missing = GetOptions::Missing::fail}),
                      Code::not_found));
}

/// A segment on each of the nodes, on huge pages, and objects on all of them.
void expect_nodes(const Store& store, std::uint32_t nodes) {
  const Stats stats = store.stats();
  EXPECT_EQ(stats.nodes.size(), nodes);
  for (const NodeStats& node : stats.nodes) {
    fmt::print("rank {}: node {}: {} on {} pages, {} objects\n", store.rank(), node.segment.asked.value,
               format_bytes(node.segment.bytes), to_string(node.segment.pages), node.objects);
    EXPECT_EQ(node.segment.pages, numa::Pages::huge_2m) << node.segment.note;
    EXPECT_TRUE(node.segment.bound) << node.segment.note;
    EXPECT_GT(node.objects, 0U) << node.segment.asked.value;
  }
}

/// More threads than there are lanes: all endpoints that a member has at most are open afterwards.
void get_from_many_threads(Store& store) {
  const std::uint32_t next = (store.rank() + 1) % store.size();
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i)
    threads.emplace_back([&store, next] {
      const auto pin = store.get(name("object", next, 4096), kLong);
      EXPECT_TRUE(good(pin) && is_pattern(pin->bytes(), seed_of(next, 4096)));
    });
  for (std::thread& thread : threads) thread.join();
}

/// What is pinned for a device, by the kernel, is what open checked the limit for: the arena once, whoever
/// reads into it, and the endpoints' own.
void expect_pinned_once(const Store& store) {
  std::uint64_t arena = 0, pinned = 0;
  for (const NodeStats& node : store.stats().nodes) arena += node.segment.bytes;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmPin:")) pinned = std::stoull(line.substr(6)) * 1024;
  const std::uint32_t endpoints = StoreOptions{}.reading_endpoints + 1;
  fmt::print("rank {}: {} pinned, for an arena of {} and up to {} endpoints\n", store.rank(),
             format_bytes(pinned), format_bytes(arena), endpoints);
  EXPECT_GE(pinned, arena);
  EXPECT_LE(pinned, fabric::bytes_to_pin({.memory = arena, .most_endpoints = endpoints}));
}

}  // namespace

void run_exchange(Store& store, const JobOptions& options) {
  const char* const mode = getenv("HOLDFAST_SAME_HOST");
  const bool by_fabric = mode != nullptr && std::string_view(mode) == "fabric";
  exchange_spilled(store);  // first: what is put later has tokens, which hold it until their time has come
  put_all(store);
  std::set<std::string> hosts{host_name()};
  for (std::uint32_t step = 1; step < store.size(); ++step) {
    const std::uint32_t other = (store.rank() + step) % store.size();
    const auto theirs = store.get(name("host", other), kLong);
    ASSERT_TRUE(good(theirs));
    hosts.insert(text_of(*theirs));
    get_all_of(store, other, !by_fabric && text_of(*theirs) == host_name());
  }
  if (options.hosts != 0) {
    EXPECT_EQ(hosts.size(), options.hosts);
  }
  if (options.nodes != 0) {
    expect_nodes(store, options.nodes);
  }
  if (options.ranks != 0) {
    EXPECT_EQ(store.size(), options.ranks);
  }
  get_from_many_threads(store);
  if (store.stats().provider.starts_with("verbs")) expect_pinned_once(store);
  ASSERT_TRUE(good(store.barrier(kLong)));
  promise_one_each(store);
  ask_about_own(store);
  erase_one_each(store);
  const Stats stats = store.stats();
  EXPECT_EQ(stats.corrupt + stats.members_lost, 0U);
  EXPECT_TRUE(good(store.barrier(kLong)));
}

}  // namespace holdfast::test
