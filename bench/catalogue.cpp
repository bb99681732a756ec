// How long does a look-up take among 10,000,000 entries, in random order? The limit is a chase through as
// much memory that touches two cache lines a look-up, the second found in the first: as many as the catalogue
// may touch.
#include "core/src/catalogue.h"

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "bench/measure.h"
#include "bench/peer.h"
#include "holdfast/numa/arena.h"
#include "holdfast/numa/topology.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEntries = 10'000'000;
constexpr int kOperations = 20'000;

constexpr ObjectId kFirst{0x5851f42d4c957f2d, 1};

using Memory = std::shared_ptr<void>;

/// Zeroed, on transparent huge pages where there are some.
Result<Memory> plain_memory(std::size_t bytes) {
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return fail_errno(errno, "bench_catalogue", "mmap");
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  return Memory(memory, [bytes](void* mapped) { ::munmap(mapped, bytes); });
}

/// Zeroed, on the pages that a store's arena gets here.
Result<Memory> arena_memory(std::size_t bytes) {
  HOLDFAST_TRY(const numa::Topology topology, numa::Topology::discover());
  numa::ArenaOptions options;
  options.bytes = bytes;
  options.nodes = {topology.nearest_with_memory(topology.current_node()).front()};  // one segment
  HOLDFAST_TRY(std::shared_ptr<numa::Arena> arena, numa::Arena::create(topology, options));
  arena->start_prefault();
  arena->wait_prefaulted();
  return Memory(arena, arena->segments().front().base);
}

/// The limit: each look-up's first line is random, and says where the second is.
class TwoLines {
 public:
  TwoLines(Memory memory, std::size_t bytes) : memory_(std::move(memory)), count_(bytes / sizeof(Line)) {
    lines_ = static_cast<Line*>(memory_.get());
    for (std::size_t i = 0; i < count_; ++i) lines_[i].next = random_() % count_;
  }

  double time_lookup() {
    const Stopwatch watch;
    for (int i = 0; i < kOperations; ++i) {
      // Each look-up waits for the one before, as a caller does.
      const Line& first = lines_[(random_() ^ last_) % count_];
      last_ = lines_[first.next].next;
    }
    return watch.ns() / kOperations;
  }

 private:
  struct alignas(kCacheLine) Line {
    std::uint64_t next = 0;
  };
  Memory memory_;
  Line* lines_ = nullptr;
  std::size_t count_;
  std::mt19937_64 random_{7};
  std::uint64_t last_ = 0;
};

struct Table {
  Memory memory;
  CatalogueReader reader;
  std::uint64_t bytes = 0;
  std::uint64_t keys = 0;  ///< numbers from 0
};

/// As full as an arena's catalogue with the entries it was made for: 80 %.
Result<std::shared_ptr<Table>> fill_table() {
  const CatalogueGeometry geometry = CatalogueGeometry::for_entries(kEntries);
  HOLDFAST_TRY(Memory memory, plain_memory(geometry.bytes()));
  auto* const buckets = static_cast<CatalogueBucket*>(memory.get());
  HOLDFAST_TRY(CatalogueWriter writer, CatalogueWriter::create(buckets, geometry));
  auto table = std::make_shared<Table>();
  while (writer.entries() < kEntries) {
    Entry entry;
    entry.id = {kFirst.high, kFirst.low + table->keys};
    entry.location = table->keys * kCacheLine;
    HOLDFAST_DO(writer.insert(Key::of(entry.id), entry));
    ++table->keys;
  }
  table->memory = std::move(memory);
  table->reader = CatalogueReader(buckets, geometry);
  table->bytes = geometry.bytes();
  return table;
}

Result<Case> find_in_table() {
  HOLDFAST_TRY(const auto table, fill_table());
  HOLDFAST_TRY(Memory memory, plain_memory(table->bytes));
  const auto limit = std::make_shared<TwoLines>(std::move(memory), table->bytes);
  auto random = std::make_shared<std::mt19937_64>(11);
  return Case{
      [=] { return limit->time_lookup(); },
      [=]() -> Result<double> {
        const Stopwatch watch;
        for (int i = 0; i < kOperations; ++i) {
          const std::uint64_t number = (*random)() % table->keys;
          HOLDFAST_TRY(const auto found, table->reader.find(Key::of({kFirst.high, kFirst.low + number})));
          if (!found) return fail(Code::not_found, "bench_catalogue", "an entry is missing");
          benchmark::DoNotOptimize(found);
        }
        return watch.ns() / kOperations;
      }};
}

struct Full {
  std::optional<Store> store;
  std::vector<ObjectRef>
      refs;  ///< in random order: going through them in turn streams the references themselves
};

Full full;

/// A store with as many objects of 8 bytes.
Status fill_store() {
  // The catalogue, and a block of two cache lines for each object.
  constexpr std::uint64_t kArena = kEntries * (107 + 192) + (256ULL << 20);
  HOLDFAST_TRY(Store store, open_alone(kArena, kEntries));
  full.refs.reserve(kEntries);
  const std::vector<std::byte> payload(8);
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    HOLDFAST_TRY(ObjectRef ref, store.put(payload));
    full.refs.push_back(std::move(ref));
  }
  std::shuffle(full.refs.begin(), full.refs.end(), std::mt19937_64(13));
  full.store.emplace(std::move(store));
  return {};
}

Result<Case> get_from_store() {
  HOLDFAST_DO(fill_store());
  const std::uint64_t bytes = CatalogueGeometry::for_entries(kEntries).bytes();
  HOLDFAST_TRY(Memory memory, arena_memory(bytes));
  const auto limit = std::make_shared<TwoLines>(std::move(memory), bytes);
  auto at = std::make_shared<std::size_t>(0);
  return Case{[=] { return limit->time_lookup(); },
              [=]() -> Result<double> {
                const Stopwatch watch;
                for (int i = 0; i < kOperations; ++i) {
                  HOLDFAST_TRY(const Pin pin, full.store->get(full.refs[*at], 1s));
                  benchmark::DoNotOptimize(pin.bytes().data());
                  *at = (*at + 1) % full.refs.size();
                }
                return watch.ns() / kOperations;
              }};
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(
      argc, argv,
      [] {
        add_case({.name = "catalogue/find/10000000", .rounds = 25}, find_in_table);
        add_case({.name = "catalogue/get/10000000", .goal = Goal::ns_at_most(400), .rounds = 25},
                 get_from_store);
      },
      [] {
        full.refs.clear();
        full.store.reset();
      });
}
