// Puts an object and gets it back; without a launcher it is rank 0 of 1.
#include <holdfast/holdfast.h>

#include <cstdio>
#include <string_view>

using namespace holdfast;
using namespace std::chrono_literals;

static Status run() {
  StoreOptions defaults;
  defaults.arena.bytes = 64_MiB;
  HOLDFAST_TRY(const StoreOptions options, StoreOptions::from_environment(defaults));
  HOLDFAST_TRY(Store store, Store::open(options));
  constexpr std::string_view kText = "put and got";
  HOLDFAST_DO(store.put(name("text", store.rank()), std::as_bytes(std::span(kText))));
  HOLDFAST_TRY(const Pin pin, store.get(name("text", store.rank()), 10s));
  const auto text = pin.as<char>();
  std::printf("holdfast %.*s, rank %u of %u: %.*s\n", static_cast<int>(version().size()), version().data(),
              store.rank(), store.size(), static_cast<int>(text.size()), text.data());
  return store.barrier(10s);
}

int main() {
  const Status status = run();
  if (!status) std::fprintf(stderr, "%s\n", status.error().message().c_str());
  return status ? 0 : 1;
}
