// get_many by fabric: objects that lie side by side in the owner's arena are fetched with one read.
#include <algorithm>
#include <numeric>

#include "src/block.h"
#include "src/get_remote.h"
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

/// Blocks that are read together.
struct Run {
  std::uint64_t source = 0;
  std::uint64_t bytes = 0;
  std::size_t first = 0, last = 0;  ///< of the order; last not included
  std::shared_ptr<HeldBlock> hold;  ///< where it lands, with other runs
  std::byte* landing = nullptr;
};

/// Sorted by location and merged. Entries too large for a run, or that make no sense, are left out.
std::vector<Run> merge(const std::vector<Entry>& entries, const std::vector<std::size_t>& order) {
  std::vector<Run> runs;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Entry& entry = entries[order[i]];
    const std::uint64_t bytes = align_up(entry.layout.block_bytes(), kCacheLine);
    if (!runs.empty()) {
      Run& run = runs.back();
      const std::uint64_t end = std::max(run.source + run.bytes, entry.location + bytes);
      if (entry.location <= run.source + run.bytes + kMostGap && end - run.source <= kMostRun) {
        run.bytes = end - run.source;
        run.last = i + 1;
        continue;
      }
    }
    runs.push_back({entry.location, bytes, i, i + 1, nullptr, nullptr});
  }
  return runs;
}

Result<Pin> take_from(Job& job, const Run& run, const Entry& entry, const Want& want) {
  const BlockLayout& layout = entry.layout;
  const std::byte* const block = run.landing + (entry.location - run.source);
  const bool good = check_header(block, {entry.id, job.peers->card(entry.owner).incarnation, layout}) ==
                        HeaderCheck::good &&
                    (!want.check_read() ||
                     check_chunks(block, layout, 0, layout.chunks(), block + layout.payload_offset()));
  if (!good) return fail(Code::not_found, "get_batch", "not there: to be looked up");
  job.counters.add(Count::gets_remote);
  job.counters.add(Count::get_bytes_remote, layout.size);
  return PinFactory::copy({block + layout.payload_offset(), layout.size}, run.hold);
}

/// Gives the run `at`, and those after it that fit into the same block, a place to land.
Status land_from(Job& job, std::vector<Run>& runs, std::size_t at) {
  std::uint64_t bytes = runs[at].bytes;
  std::size_t last = at + 1;
  while (last < runs.size() && bytes + runs[last].bytes <= kMostRun) bytes += runs[last++].bytes;
  HOLDFAST_TRY(const Block block, job.holdings->allocate(bytes, kCacheLine, std::nullopt));
  const auto hold = std::make_shared<HeldBlock>(job.memory, block);
  std::byte* landing = block.address;
  for (std::size_t i = at; i < last; ++i) {
    runs[i].hold = hold;
    runs[i].landing = landing;
    landing += runs[i].bytes;
  }
  return {};
}

/// Fetches the runs, several in flight. What is not good there, or could not be read, is left as it is in
/// `results`.
Task<void> read_runs(Job& job, const std::vector<Entry>& entries, const std::vector<std::size_t>& order,
                     std::vector<Run>& runs, Want want, PieceReader& reader,
                     std::vector<Result<Pin>>& results) {
  std::size_t started = 0;
  for (std::size_t number = 0; number < runs.size(); ++number) {
    while (started < runs.size() && started < number + reader.depth()) {
      Run& run = runs[started];
      if (const Status landed = run.hold ? Status() : land_from(job, runs, started); !landed) {
        // Room comes back as the caller releases pins; not here. Those read so far are good.
        for (std::size_t i = run.first; i < order.size(); ++i)
          results[order[i]] = tl::unexpected(landed.error());
        runs.resize(started);
        break;
      }
      job.counters.add(Count::remote_reads);
      reader.start({run.source, {run.landing, run.bytes}, run.hold});
      ++started;
    }
    if (number >= runs.size()) break;
    auto waiting = reader.wait(number);
    Status ended = co_await waiting;
    const Run& run = runs[number];
    for (std::size_t i = run.first; i < run.last; ++i)
      results[order[i]] =
          ended
              ? take_from(job, run, entries[order[i]], want)
              : Result<Pin>(name_peer(job, entries[order[i]].owner, Error(ended.error()), "Store::get_many"));
    runs[number].hold.reset();
  }
}

}  // namespace

Task<std::vector<Result<Pin>>> get_batch(Job& job, Channel& channel, MemberId owner,
                                         std::vector<Entry> entries, Want want, Deadline deadline) {
  std::vector<Result<Pin>> results;
  results.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i)
    results.push_back(fail(Code::not_found, "Store::get_many", "not read yet"));
  const auto fail_all = [&](const Error& error) {
    for (auto& result : results) result = name_peer(job, owner, error, "Store::get_many");
  };
  auto region = co_await region_of(job, channel, owner, 0, deadline);
  auto peer = channel.connect(job.peers->card(owner).address);
  if (!region || !peer) {
    fail_all(region ? peer.error() : region.error());
    co_return results;
  }

  // Small ones within the first region in runs; the rest one by one.
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    const bool fits = BlockLayout::flags_valid(entry.layout.flags) &&
                      entry.layout.alignment() == kCacheLine && entry.layout.size < kMostRun &&
                      entry.location % kCacheLine == 0 &&
                      entry.location + entry.layout.block_bytes() <= region->first + region->memory.bytes;
    if (fits) order.push_back(i);
  }
  std::ranges::sort(order, {}, [&](std::size_t i) { return entries[i].location; });
  std::vector<Run> runs = merge(entries, order);
  // The last line of the arena may be shorter than the rounding made it.
  for (Run& run : runs) run.bytes = std::min(run.bytes, region->first + region->memory.bytes - run.source);
  {
    PieceReader reader(channel, *peer, *region, deadline, PieceReader::kMostDepth);
    co_await read_runs(job, entries, order, runs, want, reader, results);
    co_await reader.drain();
  }
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (!results[i] && results[i].error().code == Code::not_found)
      results[i] = co_await get_pin(job, channel, entries[i], want, deadline);
  co_return results;
}

}  // namespace holdfast
