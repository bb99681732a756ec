// Part of get_many by fabric: objects that lie side by side in the owner's arena are fetched with one read.
#include <algorithm>
#include <array>

#include "src/batch.h"
#include "src/block.h"
#include "src/get_remote.h"
#include "src/mutation.h"
#include "src/piece_reader.h"
#include "src/pin_factory.h"
#include "src/protocols.h"

namespace holdfast {
namespace {

// A gap this small between two blocks is read along: cheaper than another read.
constexpr std::uint64_t kMostGap = 4096;

// Longest run of neighbours, and most that lands in one block of the arena: long enough for full bandwidth
// and to allocate rarely, short enough that a pin of one small object does not keep much more memory.
constexpr std::uint64_t kMostRun = 256 * 1024;

// Objects that are aligned to more land one by one: what lies between them would be read for nothing.
constexpr std::uint64_t kMostAlignment = 4096;
static_assert(kMostAlignment <= kMostGap && kMostAlignment < kMostRun);

/// Blocks that are read together.
struct Run {
  RegionKey region;  ///< in which all lie
  std::uint64_t source = 0;
  std::uint64_t bytes = 0;
  std::uint64_t alignment = kCacheLine;  ///< the largest of its blocks
  std::size_t first = 0, last = 0;       ///< of the order; last not included
  std::shared_ptr<HeldBlock> hold;       ///< where it lands, with other runs
  std::byte* landing = nullptr;

  const std::byte* block(const Entry& entry) const noexcept { return landing + (entry.location - source); }
};

struct Runs {
  std::vector<std::size_t> order;  ///< entries in them, by location
  std::vector<Run> all;
};

/// What is not checked by its checksums takes more reads than one to be sure of: see read_block().
bool fits_a_run(const Entry& entry, const Want& want) {
  return want.check_read() && BlockLayout::flags_valid(entry.layout.flags) && entry.layout.checksummed() &&
         entry.layout.size < kMostRun && entry.layout.alignment() <= kMostAlignment &&
         entry.location % entry.layout.alignment() == 0;
}

/// Appends the next entry in order, which lies in `region`, to the last run, or begins another.
void append(Runs& runs, const RegionKey& region, const Entry& entry, std::size_t place) {
  // The last line of the region may be shorter than the rounding made it.
  const std::uint64_t end_of_region = region.first + region.memory.bytes;
  const std::uint64_t end =
      std::min(entry.location + align_up(entry.layout.block_bytes(), kCacheLine), end_of_region);
  if (!runs.all.empty()) {
    Run& run = runs.all.back();
    const std::uint64_t run_end = run.source + run.bytes;
    if (run.region.first == region.first && entry.location <= run_end + kMostGap &&
        std::max(run_end, end) - run.source <= kMostRun) {
      run.bytes = std::max(run_end, end) - run.source;
      run.alignment = std::max(run.alignment, entry.layout.alignment());
      run.last = place + 1;
      return;
    }
  }
  runs.all.push_back({region, entry.location, end - entry.location, entry.layout.alignment(), place,
                      place + 1, nullptr, nullptr});
}

/// Entries in runs, by region. Where the key of a region cannot be had, that is the result of what lies
/// there.
Task<Runs> merge(Batch& batch) {
  Runs runs;
  std::vector<std::size_t> sorted;
  for (std::size_t i = 0; i < batch.entries.size(); ++i)
    if (fits_a_run(batch.entries[i], batch.want)) sorted.push_back(i);
  std::ranges::sort(sorted, {}, [&](std::size_t i) { return batch.entries[i].location; });
  std::optional<RegionKey> region;
  std::optional<Error> no_region;
  for (const std::size_t i : sorted) {
    const Entry& entry = batch.entries[i];
    if (!region || entry.location - region->first >= region->memory.bytes) {
      region = batch.job.peers->region(batch.owner, entry.location);
      if (!region && !no_region) {
        auto asked =
            co_await region_of(batch.job, batch.channel, batch.owner, entry.location, batch.deadline);
        if (asked)
          region = *asked;
        else
          no_region = std::move(asked).error();
      }
    }
    if (!region) {
      batch.results[i] = name_peer(batch.job, batch.owner, *no_region, "Store::get_many");
    } else if (entry.location + entry.layout.block_bytes() <= region->first + region->memory.bytes) {
      append(runs, *region, entry, runs.order.size());
      runs.order.push_back(i);
    }
  }
  co_return runs;
}

Result<Pin> take_from(Job& job, const Run& run, const Entry& entry) {
  const BlockLayout& layout = entry.layout;
  const std::byte* const block = run.block(entry);
  const bool good = check_header(block, {entry.id, job.peers->card(entry.owner).incarnation, layout}) ==
                        HeaderCheck::good &&
                    check_chunks(block, layout, 0, layout.chunks(), block + layout.payload_offset());
  if (!good && !HOLDFAST_MUTATION(unchecked_runs))
    return fail(Code::not_found, "get_batch", "not there: to be looked up");
  job.counters.add(Count::gets_remote);
  job.counters.add(Count::get_bytes_remote, layout.size);
  job.accesses.note(entry.id, entry.owner);
  return PinFactory::copy({block + layout.payload_offset(), layout.size}, run.hold);
}

/// When all has been taken: the same object may be asked for twice. What else has landed, between objects or
/// in their place, is looked through when the block goes.
void spoil_headers(const Batch& batch, const Runs& runs, const Run& run) {
  const auto entry_at = [&](std::size_t place) -> const Entry& { return batch.entries[runs.order[place]]; };
  std::uint64_t others = run.bytes;
  for (std::size_t place = run.first; place < run.last; ++place) {
    const Entry& entry = entry_at(place);
    const bool again = place > run.first && entry_at(place - 1).location == entry.location;
    if (!batch.results[runs.order[place]] || again) continue;
    spoil_header(run.landing + (entry.location - run.source));
    others -= std::min(others, align_up(entry.layout.block_bytes(), kCacheLine));
  }
  if (others != 0) run.hold->set_clean(false);
}

/// Gives the run `at`, and those after it that fit into the same block, a place to land: each as far beyond a
/// multiple of its alignment as it lies at its owner's. False where there is no room for so much in one
/// piece.
bool land_from(Batch& batch, std::vector<Run>& runs, std::size_t at) {
  std::vector<std::uint64_t> places;
  std::uint64_t bytes = 0, alignment = kCacheLine;
  for (std::size_t i = at; i < runs.size(); ++i) {
    const std::uint64_t place = bytes + ((runs[i].source - bytes) & (runs[i].alignment - 1));
    if (i > at && place + runs[i].bytes > kMostRun) break;
    places.push_back(place);
    bytes = place + runs[i].bytes;
    alignment = std::max(alignment, runs[i].alignment);
  }
  const auto block = batch.job.holdings->allocate(bytes, alignment, std::nullopt);
  if (!block) return false;
  const auto hold = std::make_shared<HeldBlock>(batch.job.memory, *block);
  hold->set_clean();  // who takes from it says where it is not
  for (std::size_t i = 0; i < places.size(); ++i) {
    runs[at + i].hold = hold;
    runs[at + i].landing = block->address + places[i];
  }
  return true;
}

/// Starts a read of the run `at`, and of those behind it that one request can fetch: they lie anywhere in one
/// region, and land one after the other. Gives the run after the last.
std::size_t start_read(const Batch& batch, const std::vector<Run>& runs, std::size_t at,
                       PieceReader& reader) {
  const fabric::FabricInfo& info = batch.job.fabric_info;
  const Run& first = runs[at];
  std::array<fabric::Stretch, fabric::kMostGather> gather;
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  const auto fits = [&](const Run& run) {
    return count < std::min<std::size_t>(info.max_gather, gather.size()) && run.hold == first.hold &&
           run.region.first == first.region.first && run.landing == first.landing + bytes &&
           bytes + run.bytes <= info.best_read_bytes;
  };
  std::size_t next = at;
  do {
    const Run& run = runs[next++];
    gather[count++] = {run.source - run.region.first, run.bytes};
    bytes += run.bytes;
  } while (next < runs.size() && fits(runs[next]));
  batch.job.counters.add(Count::remote_reads);
  const std::span<const fabric::Stretch> all(gather.data(), count > 1 ? count : 0);
  reader.start({first.region, first.source, {first.landing, bytes}, first.hold}, all);
  return next;
}

void take_run(Batch& batch, Runs& runs, Run& run, const Status& ended) {
  for (std::size_t place = run.first; place < run.last; ++place) {
    const std::size_t i = runs.order[place];
    batch.results[i] =
        ended ? take_from(batch.job, run, batch.entries[i])
              : Result<Pin>(name_peer(batch.job, batch.owner, Error(ended.error()), "Store::get_many"));
  }
  spoil_headers(batch, runs, run);
  run.hold.reset();
}

/// Fetches the runs, several reads in flight. What is not good there stays open.
Task<void> read_runs(Batch& batch, Runs& runs, PieceReader& reader) {
  std::vector<std::size_t> ends;  // of each read: the run after its last
  std::size_t started = 0, taken = 0;
  for (std::size_t number = 0;; ++number) {
    while (started < runs.all.size() && ends.size() < number + reader.depth()) {
      if (!runs.all[started].hold && !land_from(batch, runs.all, started)) {
        runs.all.resize(started);  // the others stay open: each by itself may find room, or waits for it
        break;
      }
      started = start_read(batch, runs.all, started, reader);
      ends.push_back(started);
    }
    if (number == ends.size()) break;
    auto waiting = reader.wait(number);
    const Status ended = co_await waiting;
    for (; taken < ends[number]; ++taken) take_run(batch, runs, runs.all[taken], ended);
  }
}

}  // namespace

Task<void> take_runs(Batch& batch) {
  const auto peer = batch.channel.connect(batch.job.peers->card(batch.owner).address);
  if (!peer) {
    for (auto& result : batch.results)
      result = name_peer(batch.job, batch.owner, peer.error(), "Store::get_many");
    co_return;
  }
  Runs runs = co_await merge(batch);
  PieceReader reader(batch.channel, *peer, batch.deadline, PieceReader::kMostDepth);
  co_await read_runs(batch, runs, reader);
  co_await reader.drain();
}

}  // namespace holdfast
