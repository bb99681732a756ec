#include "sort.h"

#include <algorithm>

namespace outofcore {
namespace {

using namespace holdfast;

// Records of each rank that are looked at for each bucket of the job: the largest bucket has a few percent
// more records than the others.
constexpr std::uint64_t kSamples = 64;

std::span<Record> records_in(const Draft& draft) {
  const std::span<std::byte> bytes = draft.bytes();
  return {reinterpret_cast<Record*>(bytes.data()), bytes.size() / sizeof(Record)};
}

std::uint32_t bucket_of(Record record, std::span<const Record> bounds) {
  return static_cast<std::uint32_t>(std::ranges::upper_bound(bounds, record) - bounds.begin());
}

Name pieces_name(std::uint32_t from, std::uint64_t bucket) {
  return name("outofcore", "pieces", from, bucket);
}

PutOptions waiting(const Plan& plan) {
  PutOptions options;
  options.timeout = plan.timeout;
  return options;
}

/// The objects that hold the pieces of a bucket, one from each rank, and the pieces.
struct Pieces {
  std::vector<ObjectRef> of_rank;
  std::vector<ObjectRef> all;
};

/// Returns while those on disk are on their way back.
Result<Pieces> ask_for_pieces(Store& store, const Plan& plan, std::uint64_t bucket) {
  Pieces pieces;
  for (std::uint32_t from = 0; from < store.size(); ++from) {
    HOLDFAST_TRY(ObjectRef whole, store.lookup(pieces_name(from, bucket), plan.timeout));
    HOLDFAST_TRY(const auto parts, store.parts(whole, plan.timeout));
    pieces.all.insert(pieces.all.end(), parts.begin(), parts.end());
    pieces.of_rank.push_back(std::move(whole));
  }
  HOLDFAST_DO(store.prefetch(pieces.all));
  return pieces;
}

/// Cuts one block into a piece a bucket, each written in place.
Result<std::vector<ObjectRef>> cut(Store& store, const Plan& plan, std::span<const Record> bounds,
                                   std::span<const Record> block) {
  std::vector<std::uint64_t> records(bounds.size() + 1);
  std::vector<std::uint32_t> buckets(block.size());
  for (std::size_t i = 0; i < block.size(); ++i) {
    buckets[i] = bucket_of(block[i], bounds);
    ++records[buckets[i]];
  }
  std::vector<Draft> drafts;
  std::vector<Record*> next;
  for (const std::uint64_t count : records) {
    HOLDFAST_TRY(Draft draft, store.draft(count * sizeof(Record), waiting(plan)));
    next.push_back(records_in(draft).data());
    drafts.push_back(std::move(draft));
  }
  for (std::size_t i = 0; i < block.size(); ++i) *next[buckets[i]]++ = block[i];
  std::vector<ObjectRef> pieces;
  for (Draft& draft : drafts) {
    HOLDFAST_TRY(ObjectRef piece, std::move(draft).seal());
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

}  // namespace

void Tally::add(std::span<const Record> some) {
  records += some.size();
  for (const Record record : some) fingerprint += mix64(record);
}

Result<std::vector<ObjectRef>> make_input(Store& store, const Plan& plan, Tally& tally) {
  std::vector<ObjectRef> input;
  std::uint64_t next = store.rank() * plan.blocks * plan.block_records;
  for (std::uint64_t i = 0; i < plan.blocks; ++i) {
    HOLDFAST_TRY(Draft draft, store.draft(plan.block_bytes(), waiting(plan)));
    for (Record& record : records_in(draft)) record = mix64(next++);
    tally.add(records_in(draft));
    HOLDFAST_TRY(ObjectRef block, std::move(draft).seal());
    input.push_back(std::move(block));
    plan.progress(plan.block_bytes());
  }
  return input;
}

Result<std::vector<Record>> agree_on_bounds(Store& store, const Plan& plan,
                                            std::span<const ObjectRef> input) {
  const std::uint64_t buckets = std::uint64_t{plan.buckets} * store.size();
  // From the block that was put last, which is likely still in memory; its records are as random as all.
  HOLDFAST_TRY(const Pin block, store.get(input.back(), plan.timeout));
  const auto records = block.as<Record>();
  const std::uint64_t count = std::min<std::uint64_t>(kSamples * buckets, records.size());
  HOLDFAST_DO(store.put(name("outofcore", "sample", store.rank()), std::as_bytes(records.first(count)),
                        waiting(plan)));
  std::vector<Record> all;
  for (std::uint32_t from = 0; from < store.size(); ++from) {
    HOLDFAST_TRY(const Pin sample, store.get(name("outofcore", "sample", from), plan.timeout));
    all.insert(all.end(), sample.as<Record>().begin(), sample.as<Record>().end());
  }
  std::ranges::sort(all);
  std::vector<Record> bounds;
  for (std::uint64_t i = 1; i < buckets; ++i) bounds.push_back(all[i * all.size() / buckets]);
  return bounds;
}

Status distribute(Store& store, const Plan& plan, std::span<const Record> bounds,
                  std::vector<ObjectRef> input) {
  std::vector<std::vector<ObjectRef>> pieces(bounds.size() + 1);
  for (ObjectRef& block : input) {
    HOLDFAST_TRY(const Pin pin, store.get(block, plan.timeout));
    HOLDFAST_TRY(const auto cut_up, cut(store, plan, bounds, pin.as<Record>()));
    for (std::size_t i = 0; i < cut_up.size(); ++i) pieces[i].push_back(cut_up[i]);
    block = ObjectRef();
    plan.progress(plan.block_bytes());
  }
  for (std::size_t bucket = 0; bucket < pieces.size(); ++bucket) {
    PutOptions options = waiting(plan);
    options.parts = std::move(pieces[bucket]);
    HOLDFAST_DO(store.put(pieces_name(store.rank(), bucket), {}, options));
  }
  return {};
}

Result<std::vector<ObjectRef>> sort_buckets(Store& store, const Plan& plan) {
  std::vector<ObjectRef> sorted;
  const std::uint64_t first = std::uint64_t{plan.buckets} * store.rank(), end = first + plan.buckets;
  HOLDFAST_TRY(Pieces next, ask_for_pieces(store, plan, first));
  for (std::uint64_t bucket = first; bucket < end; ++bucket) {
    const Pieces pieces = std::move(next);
    std::uint64_t bytes = 0;
    for (const ObjectRef& piece : pieces.all) bytes += piece.size();
    HOLDFAST_TRY(Draft draft, store.draft(bytes, waiting(plan)));
    auto room = draft.bytes();
    for (const ObjectRef& piece : pieces.all) {
      HOLDFAST_DO(store.get_into(piece, room, plan.timeout));
      room = room.subspan(piece.size());
    }
    for (const ObjectRef& whole : pieces.of_rank) HOLDFAST_DO(store.erase(whole, plan.timeout));
    // Those of the next one come from disk while these are sorted.
    if (bucket + 1 < end) {
      HOLDFAST_TRY(next, ask_for_pieces(store, plan, bucket + 1));
    }
    std::ranges::sort(records_in(draft));
    HOLDFAST_TRY(ObjectRef ref, std::move(draft).seal());
    sorted.push_back(std::move(ref));
    plan.progress(plan.bytes() / plan.buckets);
  }
  return sorted;
}

Result<Found> look_at(Store& store, const Plan& plan, std::span<const ObjectRef> sorted) {
  Found found;
  for (const ObjectRef& bucket : sorted) {
    HOLDFAST_TRY(const Pin pin, store.get(bucket, plan.timeout));
    const auto records = pin.as<Record>();
    plan.progress(plan.bytes() / plan.buckets);
    if (records.empty()) continue;
    if (found.tally.records == 0) found.first = records.front();
    found.in_order = found.in_order && std::ranges::is_sorted(records) &&
                     (found.tally.records == 0 || found.last <= records.front());
    found.last = records.back();
    found.tally.add(records);
  }
  return found;
}

}  // namespace outofcore
