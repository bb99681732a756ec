#include "bench/spill_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "bench/measure.h"
#include "holdfast/base/units.h"

namespace holdfast::bench {
namespace {

constexpr auto kLong = std::chrono::seconds(60);
constexpr std::uint64_t kArenaBytes = 128_MiB;
constexpr std::uint64_t kCatalogueEntries = 1ULL << 16;
// Got together, and as much is prefetched meanwhile: small beside the arena.
constexpr std::uint64_t kWindowBytes = 16_MiB;
// Of what is got: a little may be in memory still.
constexpr double kLeastFromDisk = 0.95;

}  // namespace

StoreObjects::StoreObjects(Store store, std::uint64_t size, std::uint64_t bytes)
    : store_(std::move(store)), size_(size), source_(size, std::byte{1}), refs_(bytes / size) {}

Result<std::unique_ptr<StoreObjects>> StoreObjects::open(const std::string& directory, std::uint64_t size,
                                                         std::uint64_t bytes) {
  ::setenv("HOLDFAST_LAUNCHER", "alone", 1);
  StoreOptions options;
  options.arena.bytes = kArenaBytes;
  options.catalogue_entries = kCatalogueEntries;
  options.lifetime.spill.directories = {directory};
  HOLDFAST_TRY(Store store, Store::open(options));
  std::unique_ptr<StoreObjects> made(new StoreObjects(std::move(store), size, bytes));
  HOLDFAST_DO(made->spill());
  return made;
}

Result<double> StoreObjects::spill() {
  const Stopwatch watch;
  for (ObjectRef& ref : refs_) {
    HOLDFAST_TRY(ref, store_.put(source_));
  }
  return static_cast<double>(refs_.size() * size_) / watch.ns() * 1e9;
}

Result<double> StoreObjects::restore() {
  const std::uint64_t before = store_.stats().restores;
  const std::size_t window = kWindowBytes / size_;
  const std::span<const ObjectRef> all(refs_);
  const Stopwatch watch;
  for (std::size_t at = 0; at < all.size(); at += window) {
    const std::size_t next = at + window;
    if (next < all.size())
      HOLDFAST_DO(store_.prefetch(all.subspan(next, std::min(window, all.size() - next))));
    for (const Result<Pin>& pin : store_.get_many(all.subspan(at, std::min(window, all.size() - at)), kLong))
      if (!pin) return tl::unexpected(pin.error());
  }
  const double rate = static_cast<double>(all.size() * size_) / watch.ns() * 1e9;
  const std::uint64_t restored = store_.stats().restores - before;
  if (static_cast<double>(restored) < kLeastFromDisk * static_cast<double>(all.size()))
    return fail(Code::system, "bench_spill",
                fmt::format("only {} of {} objects came from disk", restored, all.size()));
  return rate;
}

}  // namespace holdfast::bench
