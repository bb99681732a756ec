// How fast are bytes put? The limit is memcpy from the same source into memory that was touched before.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "bench/peer.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMostBytes = 256ULL << 20;

// A round moves about as much, in many objects or in one; bounded by what the catalogue holds.
constexpr std::uint64_t kBytesARound = 64ULL << 20;
constexpr std::uint64_t kMostObjects = 1000;

std::optional<Store> store;

struct Buffers {
  std::vector<std::byte> source;
  std::byte* target = nullptr;  ///< on huge pages where there are some, as the arena; for the process's life
};

Result<Buffers*> buffers() {
  static Buffers made;
  if (made.target != nullptr) return &made;
  void* const target =
      ::mmap(nullptr, kMostBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (target == MAP_FAILED) return fail_errno(errno, "bench_put", "mmap");
  ::madvise(target, kMostBytes, MADV_HUGEPAGE);
  std::memset(target, 1, kMostBytes);
  made.source.assign(kMostBytes, std::byte{2});
  made.target = static_cast<std::byte*>(target);
  return &made;
}

std::uint64_t objects_a_round(std::uint64_t bytes) {
  return std::clamp<std::uint64_t>(kBytesARound / bytes, 1, kMostObjects);
}

Result<double> put_rate(std::span<const std::byte> source, std::uint64_t bytes, const PutOptions& options) {
  const std::uint64_t count = objects_a_round(bytes);
  std::vector<ObjectRef> refs;
  refs.reserve(count);
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < count; ++i) {
    HOLDFAST_TRY(ObjectRef ref, store->put(source.subspan(i * bytes, bytes), options));
    refs.push_back(std::move(ref));
  }
  const double seconds = watch.ns() * 1e-9;
  for (const ObjectRef& ref : refs) HOLDFAST_DO(store->erase(ref, 1s));
  return static_cast<double>(bytes * count) / seconds;
}

double copy_rate(const Buffers& at, std::uint64_t bytes) {
  const std::uint64_t count = objects_a_round(bytes);
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < count; ++i)
    std::memcpy(at.target + i * bytes, at.source.data() + i * bytes, bytes);
  return static_cast<double>(bytes * count) / (watch.ns() * 1e-9);
}

Result<Case> prepare(std::uint64_t bytes, const PutOptions& options) {
  if (!store) {
    HOLDFAST_TRY(Store opened, open_alone(2 * kMostBytes));
    store.emplace(std::move(opened));
  }
  HOLDFAST_TRY(const Buffers* const at, buffers());
  return Case{[=] { return copy_rate(*at, bytes); }, [=] { return put_rate(at->source, bytes, options); }};
}

void add_cases() {
  constexpr std::array<std::uint64_t, 7> kSizes = {8,         1U << 10,  64U << 10, 1U << 20,
                                                   16U << 20, 64U << 20, kMostBytes};
  for (const std::uint64_t bytes : kSizes)
    for (const auto checksum : {PutOptions::Checksum::on, PutOptions::Checksum::off}) {
      const bool on = checksum == PutOptions::Checksum::on;
      PutOptions options;
      options.checksum = checksum;
      CaseOptions with{.name = "put/" + std::to_string(bytes) + (on ? "/checksum" : "/no_checksum"),
                       .quantity = Quantity::bytes_per_s};
      if (bytes == 64ULL << 20) with.goal = Goal::ratio_at_least(on ? 0.9 : 0.95);
      if (bytes == kMostBytes) with.rounds = 5;
      add_case(with, [=] { return prepare(bytes, options); });
    }
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(argc, argv, add_cases, [] { store.reset(); });
}
