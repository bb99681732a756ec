// get_many from one owner. By fabric, objects that lie side by side in its arena are fetched with one read.
#include <algorithm>
#include <numeric>

#include "src/block.h"
#include "src/get_remote.h"
#include "src/piece_reader.h"
#include "src/pin_factory.h"
#include "src/protocols.h"
#include "src/view_of.h"

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
  job.accesses.note(entry.id, entry.owner);
  return PinFactory::copy({block + layout.payload_offset(), layout.size}, run.hold);
}

/// When all has been taken: the same object may be asked for twice. What else has landed, between objects or
/// in their place, is looked through when the block goes.
void spoil_headers(const Run& run, const std::vector<Entry>& entries, const std::vector<std::size_t>& order,
                   const std::vector<Result<Pin>>& results) {
  std::uint64_t others = run.bytes;
  for (std::size_t i = run.first; i < run.last; ++i) {
    const Entry& entry = entries[order[i]];
    if (!results[order[i]] || (i > run.first && entries[order[i - 1]].location == entry.location)) continue;
    spoil_header(run.landing + (entry.location - run.source));
    others -= std::min(others, align_up(entry.layout.block_bytes(), kCacheLine));
  }
  if (others != 0) run.hold->set_clean(false);
}

/// Gives the run `at`, and those after it that fit into the same block, a place to land.
Task<Status> land_from(Job& job, Channel& channel, std::vector<Run>& runs, std::size_t at,
                       Deadline deadline) {
  std::uint64_t bytes = runs[at].bytes;
  std::size_t last = at + 1;
  while (last < runs.size() && bytes + runs[last].bytes <= kMostRun) bytes += runs[last++].bytes;
  HOLDFAST_CO_TRY(const Block block, co_await landing_block(job, channel, bytes, kCacheLine, deadline));
  const auto hold = std::make_shared<HeldBlock>(job.memory, block);
  hold->set_clean();  // who takes from it says where it is not
  std::byte* landing = block.address;
  for (std::size_t i = at; i < last; ++i) {
    runs[i].hold = hold;
    runs[i].landing = landing;
    landing += runs[i].bytes;
  }
  co_return Status{};
}

/// Fetches the runs, several in flight. What is not good there, or could not be read, is left as it is in
/// `results`. `words`: of the headers of what was taken.
Task<void> read_runs(Job& job, Channel& channel, const std::vector<Entry>& entries,
                     const std::vector<std::size_t>& order, std::vector<Run>& runs, Want want,
                     Deadline deadline, PieceReader& reader, std::vector<Result<Pin>>& results,
                     std::vector<std::uint64_t>& words) {
  std::size_t started = 0;
  for (std::size_t number = 0; number < runs.size(); ++number) {
    while (started < runs.size() && started < number + reader.depth()) {
      Run& run = runs[started];
      Status landed;
      if (!run.hold) landed = co_await land_from(job, channel, runs, started, deadline);
      if (!landed) {
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
    for (std::size_t i = run.first; i < run.last; ++i) {
      words[order[i]] = header_word(run.landing + (entries[order[i]].location - run.source));
      results[order[i]] =
          ended
              ? take_from(job, run, entries[order[i]], want)
              : Result<Pin>(name_peer(job, entries[order[i]].owner, Error(ended.error()), "Store::get_many"));
    }
    spoil_headers(run, entries, order, results);
    runs[number].hold.reset();
  }
}

struct Source {
  fabric::PeerId peer;
  RegionKey region;
  Deadline deadline;
};

/// Reads the headers of objects whose payload was not checked once more: nothing else tells whether a block
/// was freed or moved while it was read. Those that were count as not there.
Task<void> confirm(Job& job, Channel& channel, const std::vector<Entry>& entries,
                   const std::vector<std::size_t>& order, Want want, Source source,
                   const std::vector<std::uint64_t>& words, std::vector<Result<Pin>>& results) {
  std::vector<std::size_t> unchecked;
  for (const std::size_t i : order)
    if (results[i] && !(want.check_read() && entries[i].layout.checksummed())) unchecked.push_back(i);
  if (unchecked.empty()) co_return;
  constexpr std::uint64_t kMostHead =
      align_up(kBlockHeaderBytes + (kMostRun >> 16) * sizeof(std::uint64_t), kCacheLine);
  const auto doubt = [&](std::size_t i) {
    results[i] = fail(Code::not_found, "get_batch", "may have changed");
  };
  auto block =
      co_await landing_block(job, channel, PieceReader::kMostDepth * kMostHead, kCacheLine, source.deadline);
  if (!block) {
    for (const std::size_t i : unchecked) doubt(i);
    co_return;
  }
  const auto hold = std::make_shared<HeldBlock>(job.memory, *block);
  PieceReader reader(channel, source.peer, source.region, source.deadline, PieceReader::kMostDepth);
  std::size_t started = 0;
  for (std::size_t number = 0; number < unchecked.size(); ++number) {
    for (; started < unchecked.size() && started < number + reader.depth(); ++started) {
      const Entry& entry = entries[unchecked[started]];
      job.counters.add(Count::remote_reads);
      reader.start({entry.location,
                    {block->address + started % reader.depth() * kMostHead,
                     kBlockHeaderBytes + entry.layout.table_bytes()},
                    hold});
    }
    auto waiting = reader.wait(number);
    const Status ended = co_await waiting;
    const Entry& entry = entries[unchecked[number]];
    const BlockIdentity identity{entry.id, job.peers->card(entry.owner).incarnation, entry.layout};
    const std::byte* const head = block->address + number % reader.depth() * kMostHead;
    if (!ended || check_header(head, identity) != HeaderCheck::good ||
        header_word(head) != words[unchecked[number]])
      doubt(unchecked[number]);
  }
  co_await reader.drain();
}

/// From mapped memory. What is not found there is left as it is in `results`.
void take_mapped(Job& job, const View& view, const std::vector<Entry>& entries, const Want& want,
                 std::vector<Result<Pin>>& results) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Pin pin;
    auto there = get_local(job, view, entries[i], want, pin);
    if (!there)
      results[i] = tl::unexpected(std::move(there).error());
    else if (*there)
      results[i] = std::move(pin);
  }
}

/// By fabric: small ones within the first region in runs. What is not found so is left as it is in `results`.
Task<void> take_runs(Job& job, Channel& channel, MemberId owner, const std::vector<Entry>& entries, Want want,
                     Deadline deadline, std::vector<Result<Pin>>& results) {
  auto region = co_await region_of(job, channel, owner, 0, deadline);
  auto peer = channel.connect(job.peers->card(owner).address);
  if (!region || !peer) {
    const Error error = region ? peer.error() : region.error();
    for (auto& result : results) result = name_peer(job, owner, error, "Store::get_many");
    co_return;
  }
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
  std::vector<std::uint64_t> words(entries.size());
  // The last line of the arena may be shorter than the rounding made it.
  for (Run& run : runs) run.bytes = std::min(run.bytes, region->first + region->memory.bytes - run.source);
  {
    PieceReader reader(channel, *peer, *region, deadline, PieceReader::kMostDepth);
    co_await read_runs(job, channel, entries, order, runs, want, deadline, reader, results, words);
    co_await reader.drain();
  }
  co_await confirm(job, channel, entries, order, want, {*peer, *region, deadline}, words, results);
}

}  // namespace

Task<std::vector<Result<Pin>>> get_batch(Job& job, Channel& channel, MemberId owner,
                                         std::vector<Entry> entries, Want want, Deadline deadline) {
  std::vector<Result<Pin>> results;
  results.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i)
    results.push_back(fail(Code::not_found, "Store::get_many", "not read yet"));
  ViewOf mapping(job, channel, owner, deadline);
  const auto view = co_await mapping;
  if (!view)
    for (auto& result : results) result = tl::unexpected(view.error());
  else if (*view != nullptr)
    take_mapped(job, **view, entries, want, results);
  else
    co_await take_runs(job, channel, owner, entries, want, deadline, results);

  const auto not_there = [&](std::size_t i) {
    return !results[i] && results[i].error().code == Code::not_found;
  };
  std::vector<ObjectId> missing;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (not_there(i)) missing.push_back(entries[i].id);
  if (missing.size() > 1) spawn(prefetch(job, channel, owner, std::move(missing)), [] {});
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (not_there(i)) results[i] = co_await get_pin(job, channel, entries[i], want, deadline);
  co_return results;
}

}  // namespace holdfast
