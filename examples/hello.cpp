// Each rank puts a greeting and gets its left neighbour's: holdfast-run -n 4 hello
#include <holdfast/holdfast.h>

#include <cstdio>
#include <string>

using namespace holdfast;
using namespace std::chrono_literals;

Status run() {
  HOLDFAST_TRY(Store store, Store::open());
  const auto left = (store.rank() + store.size() - 1) % store.size();
  const std::string text = "hello from rank " + std::to_string(store.rank());
  HOLDFAST_DO(store.put(name("greeting", store.rank()), std::as_bytes(std::span(text))));
  HOLDFAST_TRY(const Pin pin, store.get(name("greeting", left), 10s));
  const auto heard = pin.as<char>();
  std::printf("rank %u heard: %.*s\n", store.rank(), static_cast<int>(heard.size()), heard.data());
  return store.barrier(10s);  // nobody leaves while others still read
}

int main() {
  const Status status = run();
  if (!status) std::fprintf(stderr, "%s\n", status.error().message().c_str());
  return status ? 0 : 1;
}
