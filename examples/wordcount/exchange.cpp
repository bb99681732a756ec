#include "exchange.h"

#include <cstring>
#include <type_traits>

namespace wordcount {
namespace {

using namespace holdfast;

/// The rank that counts a word in the end.
std::uint32_t partition_of(const Word& word, std::uint32_t size) {
  return static_cast<std::uint32_t>(word.hash % size);
}

/// Writes every partition but this rank's own straight into the store's memory, and seals it under its name.
Status put_partitions(Store& store, const Counts& counted, std::vector<ObjectRef>& put) {
  const std::uint32_t me = store.rank(), size = store.size();
  std::vector<std::uint64_t> bytes(size);
  counted.for_each([&](const Word& word, std::uint64_t times) {
    bytes[partition_of(word, size)] += encoded_bytes(word.text, times);
  });
  std::vector<Draft> drafts;
  std::vector<std::span<std::byte>> room(size);
  for (std::uint32_t to = 0; to < size; ++to) {
    HOLDFAST_TRY(Draft draft, store.draft(to == me ? 0 : bytes[to]));
    room[to] = draft.bytes();
    drafts.push_back(std::move(draft));
  }
  counted.for_each([&](const Word& word, std::uint64_t times) {
    const std::uint32_t to = partition_of(word, size);
    if (to != me) room[to] = encode(word.text, times, room[to]);
  });
  for (std::uint32_t to = 0; to < size; ++to) {
    if (to == me) continue;  // the empty draft for ourselves is dropped
    HOLDFAST_TRY(ObjectRef ref, std::move(drafts[to]).seal(name("wordcount", me, to)));
    put.push_back(std::move(ref));
  }
  return {};
}

}  // namespace

Result<Counts> exchange(Store& store, const Counts& counted, Duration timeout, std::vector<ObjectRef>& put) {
  const std::uint32_t me = store.rank(), size = store.size();
  HOLDFAST_DO(put_partitions(store, counted, put));

  // Ask everybody at once, the next rank first, so that they are not all asking the same one.
  std::vector<Op<Pin>> incoming;
  for (std::uint32_t i = 1; i < size; ++i)
    incoming.push_back(store.fetch(name("wordcount", (me + i) % size, me), {.timeout = timeout}));

  // While they are on their way, take what we have ourselves. Waiting for one moves all of them along.
  Counts mine;
  counted.for_each([&](const Word& word, std::uint64_t times) {
    if (partition_of(word, size) == me) mine.add(word, times);
  });
  for (Op<Pin>& op : incoming) {
    HOLDFAST_TRY(const Pin partition, std::move(op).wait(timeout));
    HOLDFAST_DO(decode(partition.bytes(), mine));
  }
  return mine;
}

Result<std::vector<Report>> gather(Store& store, const Report& mine, const Counts& my_most, Duration timeout,
                                   std::vector<ObjectRef>& put, Counts& most) {
  static_assert(std::is_trivially_copyable_v<Report>);
  std::size_t bytes = sizeof mine;
  my_most.for_each([&](const Word& word, std::uint64_t times) { bytes += encoded_bytes(word.text, times); });
  HOLDFAST_TRY(Draft draft, store.draft(bytes));
  auto room = draft.bytes();
  std::memcpy(room.data(), &mine, sizeof mine);
  room = room.subspan(sizeof mine);
  my_most.for_each([&](const Word& word, std::uint64_t times) { room = encode(word.text, times, room); });
  HOLDFAST_TRY(ObjectRef ref, std::move(draft).seal(name("wordcount", "report", store.rank())));
  put.push_back(std::move(ref));

  std::vector<Report> reports;
  if (store.rank() != 0) return reports;
  for (std::uint32_t from = 0; from < store.size(); ++from) {
    HOLDFAST_TRY(const Pin pin, store.get(name("wordcount", "report", from), timeout));
    if (pin.size() < sizeof(Report)) return fail(Code::corrupt, "wordcount", "a report is too short");
    std::memcpy(&reports.emplace_back(), pin.bytes().data(), sizeof(Report));
    HOLDFAST_DO(decode(pin.bytes().subspan(sizeof(Report)), most));
  }
  return reports;
}

}  // namespace wordcount
