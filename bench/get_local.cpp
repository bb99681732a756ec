// How long does it take to get and release an object of this process's own?
#include <optional>

#include "bench/get_cases.h"
#include "bench/peer.h"

namespace holdfast::bench {
namespace {

// As many as stay in the caches with their blocks and catalogue lines.
constexpr int kObjects = 64;

std::optional<Store> store;

Result<GetFromMemory> prepare(std::uint64_t bytes) {
  if (!store) {
    HOLDFAST_TRY(Store opened, open_alone(64ULL << 20));
    store.emplace(std::move(opened));
  }
  GetFromMemory from{&*store, {}};
  const std::vector<std::byte> payload(bytes);
  for (int i = 0; i < kObjects; ++i) {
    HOLDFAST_TRY(ObjectRef ref, store->put(payload));
    from.refs.push_back(std::move(ref));
  }
  return from;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  return run_benchmarks(
      argc, argv, [] { add_get_cases("get_local", Goal::ns_at_most(150), prepare); }, [] { store.reset(); });
}
