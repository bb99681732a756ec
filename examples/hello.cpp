// Each rank puts a greeting and gets its left neighbour's: holdfast-run -n 4 hello
#include <holdfast/holdfast.h>
#include <stdio.h>

using namespace holdfast;

Status run() {
  HOLDFAST_TRY(Store store, Store::open());
  const auto me = store.rank(), left = (me + store.size() - 1) % store.size();
  HOLDFAST_DO(store.put(name("greeting", me), std::as_bytes(std::span(&me, 1))));
  HOLDFAST_TRY(const Pin greeting, store.get(name("greeting", left), std::chrono::seconds(10)));
  printf("rank %u heard: hello from rank %u\n", me, greeting.as<std::uint32_t>()[0]);
  return store.barrier(std::chrono::seconds(10));  // nobody leaves while others still read
}

int main() {
  const Status status = run();
  if (!status) fprintf(stderr, "%s\n", status.error().message().c_str());
  return status ? 0 : 1;
}
