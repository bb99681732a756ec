#include "src/protocols.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "holdfast/base/checksum.h"
#include "src/block.h"
#include "src/get_remote.h"
#include "src/mutation.h"
#include "src/pin_factory.h"
#include "src/view_of.h"

namespace holdfast {
namespace {

constexpr std::string_view kOperation = "Store::get";

// Each means that the object was moved, or its bytes changed, while it was read.
constexpr int kSureAttempts = 8;
// Rounds that find the entry as it was: then it is not a change that spoils the bytes.
constexpr int kSameAttempts = 3;
// The same for a header that was spoiled: an object may have gone to disk and come back to where it lay, more
// than once, between the looks at its entry.
constexpr Duration kSamePatience = std::chrono::milliseconds(500);

/// Asks for a key's entry and waits for it at its keeper, who is told when the wait ends without it.
Task<Result<Entry>> await_entry(Job& job, Channel& channel, MemberId keeper, MessageType type, Key key,
                                Deadline deadline, Cancellation* cancellation,
                                std::shared_ptr<void> place = nullptr) {
  if (deadline.passed(job.clock)) co_return fail(Code::timed_out, kOperation, "no time was left to wait");
  WireWriter body;
  put_key(body, key);
  put_deadline(body, deadline, job.clock);
  auto reply = co_await channel.call(job.peers->receiver(keeper), type, body.take(), deadline, cancellation,
                                     std::move(place));
  if (reply) {
    WireReader in(*reply);
    const Entry entry = get_entry(in);
    if (in.ok() && entry.owner.value < job.peers->size()) co_return entry;
    co_return fail(Code::system, kOperation, "a member sent a reply that cannot be read");
  }
  co_return name_peer(job, keeper, std::move(reply).error(), kOperation);
}

/// Where an arena so full that a bucket cannot land would have to wait for room, the keeper looks: what makes
/// room again, as erasing does, must be possible there.
Task<Result<std::optional<Entry>>> look_or_ask(Job& job, Channel& channel, MemberId keeper, Key key,
                                               Deadline deadline) {
  auto found = co_await look_up(job, channel, keeper, key, deadline);
  if (found || found.error().code != Code::full) co_return found;
  WireWriter body;
  put_key(body, key);
  auto reply = co_await channel.call(job.peers->receiver(keeper), MessageType::look, body.take(), deadline);
  if (!reply && reply.error().code == Code::not_found) co_return std::optional<Entry>();
  if (!reply) co_return tl::unexpected(std::move(reply).error());
  WireReader in(*reply);
  const Entry entry = get_entry(in);
  if (in.ok() && entry.owner.value < job.peers->size()) co_return std::optional<Entry>(entry);
  co_return fail(Code::system, kOperation, "a member sent a reply that cannot be read");
}

tl::unexpected<Error> missing(const Target& target) {
  if (const Entry* entry = std::get_if<Entry>(&target))
    return fail(Code::not_found, kOperation,
                fmt::format("object {} is not there (any more)", entry->id.to_hex()));
  return fail(Code::not_found, kOperation, "no object has this name");
}

tl::unexpected<Error> corrupt(Job& job, const Entry& entry) {
  job.counters.add(Count::corrupt);
  return fail(
      Code::corrupt, kOperation,
      fmt::format(
          "the bytes of object {} in the memory of {} fail their checksums; erase it and put it again",
          entry.id.to_hex(), job.peers->describe(entry.owner)));
}

tl::unexpected<Error> never_still(const Job& job, const Entry& entry) {
  return fail(
      Code::timed_out, kOperation,
      fmt::format("object {} left its place each time before it was read; {} has too little memory for "
                  "what is asked of it",
                  entry.id.to_hex(), job.peers->describe(entry.owner)));
}

/// Counts attempts to catch an object that moves: a few without looking at the clock, then until the
/// deadline.
class Rounds {
 public:
  Rounds(const Clock& clock, Deadline deadline) noexcept : clock_(clock), deadline_(deadline) {}
  bool another() noexcept { return ++count_ <= kSureAttempts || !deadline_.passed(clock_); }

 private:
  const Clock& clock_;
  Deadline deadline_;
  int count_ = 0;
};

void count_remote(Job& job, const Entry& entry, std::uint64_t bytes, TimePoint started) {
  job.counters.add(Count::gets_remote);
  job.counters.add(Count::get_bytes_remote, bytes);
  job.remote_gets.add(job.clock.now() - started);
  job.accesses.note(entry.id, entry.owner);
}

tl::unexpected<Error> too_small(std::uint64_t buffer, std::uint64_t object) {
  return fail(Code::invalid, "Store::get_into",
              fmt::format("the buffer of {} bytes is too small for the object of {}", buffer, object));
}

std::uint64_t wanted_bytes(const Entry& entry, const Want& want) {
  return want.range ? want.range->bytes : entry.layout.size;
}

}  // namespace

tl::unexpected<Error> name_peer(const Job& job, MemberId member, Error error, std::string_view operation) {
  if (error.code == Code::owner_lost) return job.owner_lost(member, operation);
  if (error.code == Code::timed_out)
    return fail(Code::timed_out, operation,
                fmt::format("{} did not answer before the deadline", job.peers->describe(member)));
  error.operation = operation;
  return tl::unexpected(std::move(error));
}

Task<Result<Entry>> resolve(Job& job, Channel& channel, Key name, Waiting waiting, Deadline deadline) {
  const MemberId home = job.peers->home_of(name);
  ViewOf mapping(job, channel, home, deadline);
  auto view = co_await mapping;
  if (!view) co_return tl::unexpected(std::move(view).error());
  if (*view != nullptr) {
    HOLDFAST_CO_TRY(const auto found, (*view)->catalogue.find(name, patience_for(deadline.left(job.clock))));
    if (found) co_return found->entry;
  } else {
    auto found = co_await look_or_ask(job, channel, home, name, deadline);
    if (!found) co_return name_peer(job, home, std::move(found).error(), kOperation);
    if (*found) co_return **found;
  }
  if (!waiting.allowed) co_return missing(name);
  auto entry =
      co_await await_entry(job, channel, home, MessageType::await_name, name, deadline, waiting.cancellation);
  if (!entry && entry.error().code == Code::timed_out)
    co_return fail(Code::timed_out, kOperation,
                   fmt::format("the name was not published before the deadline (its home is {})",
                               job.peers->describe(home)));
  co_return entry;
}

Task<Result<Entry>> find_object(Job& job, Channel& channel, MemberId owner, ObjectId id, Waiting waiting,
                                Deadline deadline, std::shared_ptr<void> place) {
  ViewOf mapping(job, channel, owner, deadline);
  auto view = co_await mapping;
  if (!view) co_return tl::unexpected(std::move(view).error());
  if (*view != nullptr) {
    HOLDFAST_CO_TRY(const auto found,
                    (*view)->catalogue.find(Key::of(id), patience_for(deadline.left(job.clock))));
    if (found) co_return found->entry;
  } else {
    auto found = co_await look_or_ask(job, channel, owner, Key::of(id), deadline);
    if (!found) co_return name_peer(job, owner, std::move(found).error(), kOperation);
    if (*found) co_return **found;
  }
  Entry sought;
  sought.id = id;
  if (!waiting.allowed) co_return missing(sought);
  auto entry = co_await await_entry(job, channel, owner, MessageType::await_object, Key::of(id), deadline,
                                    waiting.cancellation, std::move(place));
  if (!entry && entry.error().code == Code::timed_out)
    co_return fail(Code::timed_out, kOperation,
                   fmt::format("object {} was not sealed before the deadline", id.to_hex()));
  co_return entry;
}

namespace {

/// Where a get is done: once, however often its object had to be brought back.
void count_from_disk(Job& job, bool from_disk) {
  if (from_disk) job.counters.add(Count::gets_from_disk);
}

/// Asks the owner to bring an object back from disk.
Task<Result<Entry>> bring_back(Job& job, Channel& channel, Entry entry, Deadline deadline,
                               Cancellation* cancellation, bool& from_disk) {
  auto now = co_await await_entry(job, channel, entry.owner, MessageType::restore, Key::of(entry.id),
                                  deadline, cancellation);
  if (!now && now.error().code == Code::timed_out)
    co_return fail(Code::timed_out, kOperation,
                   fmt::format("{} did not bring object {} back from disk before the deadline",
                               job.peers->describe(entry.owner), entry.id.to_hex()));
  if (now) from_disk = true;
  co_return now;
}

/// Where an object lies that was not where it was remembered: sealed, and in memory.
Task<Result<Entry>> find_in_memory(Job& job, Channel& channel, Entry entry, Waiting waiting,
                                   Deadline deadline, bool& from_disk) {
  HOLDFAST_CO_TRY(entry, co_await find_object(job, channel, entry.owner, entry.id, waiting, deadline));
  if (!entry.on_disk()) co_return entry;
  co_return co_await bring_back(job, channel, entry, deadline, waiting.cancellation, from_disk);
}

/// Where a caller wants a copy; nothing where a pin will do.
using CallersBuffer = std::optional<std::span<std::byte>>;

/// The buffer was found large enough for what a reference says; now for what the catalogue says.
Status check_fits(const CallersBuffer& into, const Entry& entry, const Want& want) {
  HOLDFAST_DO(check_range(want.range, entry.layout.size));
  if (!into || wanted_bytes(entry, want) <= into->size()) return {};
  return too_small(into->size(), wanted_bytes(entry, want));
}

/// Reads an object by fabric, looking it up again when it does not lie where it is remembered.
Task<Result<Landed>> read_object(Job& job, Channel& channel, Entry entry, Want want, CallersBuffer buffer,
                                 Deadline deadline, bool& from_disk) {
  Rounds rounds(job.clock, deadline);
  int same = 0;
  TimePoint same_since = job.clock.now();
  StandsStill strange;
  // At the deadline what has been found until then decides.
  const auto ends = [&](Error error) {
    return error.code == Code::timed_out && strange.is_sure() ? corrupt(job, entry)
                                                              : tl::unexpected(std::move(error));
  };
  while (same < kSameAttempts && rounds.another()) {
    if (entry.on_disk()) {
      HOLDFAST_CO_TRY(
          entry, co_await bring_back(job, channel, entry, deadline, want.waiting.cancellation, from_disk));
    }
    HOLDFAST_CO_DO(check_fits(buffer, entry, want));
    const auto into = buffer ? buffer->first(wanted_bytes(entry, want)) : std::span<std::byte>();
    auto read = co_await read_block(job, channel, entry, want, into, deadline);
    if (!read) co_return ends(name_peer(job, entry.owner, std::move(read).error(), kOperation).value());
    if (read->found == BlockRead::Found::good) co_return std::move(read->landed);
    if (read->strange)
      strange.saw(*read->strange, job.clock.now());
    else
      strange.saw_another();
    job.counters.add(read->found == BlockRead::Found::other ? Count::remote_stale : Count::remote_torn);
    // If it is on disk, that is a change: the next round has it brought back.
    auto now = co_await find_object(job, channel, entry.owner, entry.id, want.waiting, deadline);
    if (!now) co_return ends(std::move(now).error());
    same = *now == entry ? same + 1 : 0;
    if (same == 0) {
      same_since = job.clock.now();
      strange.saw_another();
    }
    if (read->found == BlockRead::Found::other && job.clock.now() - same_since < kSamePatience)
      same = std::min(same, kSameAttempts - 1);
    entry = *now;
  }
  if (same < kSameAttempts && !strange.is_sure()) co_return never_still(job, entry);
  co_return corrupt(job, entry);
}

}  // namespace

Task<Result<Pin>> get_pin(Job& job, Channel& channel, Target target, Want want, Deadline deadline) {
  const TimePoint started = job.clock.now();
  bool from_disk = false;
  Entry entry;
  if (const Key* name = std::get_if<Key>(&target)) {
    HOLDFAST_CO_TRY(entry, co_await resolve(job, channel, *name, want.waiting, deadline));
  } else {
    entry = std::get<Entry>(target);
  }
  for (Rounds rounds(job.clock, deadline); rounds.another();) {
    ViewOf mapping(job, channel, entry.owner, deadline);
    auto view = co_await mapping;
    if (!view) co_return tl::unexpected(std::move(view).error());
    if (*view == nullptr) {
      HOLDFAST_CO_TRY(Landed landed,
                      co_await read_object(job, channel, entry, want, std::nullopt, deadline, from_disk));
      count_remote(job, entry, landed.payload.size(), started);
      count_from_disk(job, from_disk);
      co_return PinFactory::copy(landed.payload, std::move(landed.hold));
    }
    Pin pin;
    HOLDFAST_CO_TRY(const bool there, get_local(job, **view, entry, want, pin));
    if (there) {
      count_from_disk(job, from_disk);
      co_return std::move(pin);
    }
    // Not sealed yet, erased, or on disk; the owner knows which.
    HOLDFAST_CO_TRY(entry, co_await find_in_memory(job, channel, entry, want.waiting, deadline, from_disk));
  }
  co_return never_still(job, entry);
}

Task<Result<std::uint64_t>> get_copy(Job& job, Channel& channel, Entry entry, Want want,
                                     std::span<std::byte> into, Deadline deadline) {
  const TimePoint started = job.clock.now();
  bool from_disk = false;
  for (Rounds rounds(job.clock, deadline); rounds.another();) {
    ViewOf mapping(job, channel, entry.owner, deadline);
    auto view = co_await mapping;
    if (!view) co_return tl::unexpected(std::move(view).error());
    if (*view == nullptr) {
      const auto landed = co_await read_object(job, channel, entry, want, into, deadline, from_disk);
      if (!landed) co_return tl::unexpected(landed.error());
      count_remote(job, entry, landed->payload.size(), started);
      count_from_disk(job, from_disk);
      co_return landed->payload.size();
    }
    // Checked while it is copied would need the block's layout here; checking first leaves small objects in
    // cache.
    Pin pin;
    HOLDFAST_CO_TRY(const bool there, get_local(job, **view, entry, want, pin));
    if (there) {
      count_from_disk(job, from_disk);
      if (pin.size() > into.size()) co_return too_small(into.size(), pin.size());
      copy_bytes(into.first(pin.size()), pin.bytes(), copy_mode_for(pin.size()));
      co_return pin.size();
    }
    HOLDFAST_CO_TRY(entry, co_await find_in_memory(job, channel, entry, want.waiting, deadline, from_disk));
  }
  co_return never_still(job, entry);
}

Task<void> prefetch(Job& job, Channel& channel, MemberId owner, std::vector<ObjectId> ids) {
  for (std::size_t at = 0; at < ids.size(); at += kPrefetchItems) {
    const std::size_t count = std::min(ids.size() - at, kPrefetchItems);
    WireWriter body;
    body.put(static_cast<std::uint32_t>(count));
    for (std::size_t i = at; i < at + count; ++i) put_id(body, ids[i]);
    if (!co_await channel.deliver(job.peers->receiver(owner), MessageType::prefetch, body.take())) co_return;
  }
}

namespace {

/// As unpublish_name, without waiting for an answer.
void unpublish_unheard(Job& job, Channel& channel, const Key& name, const ObjectId& id) {
  WireWriter body;
  put_key(body, name);
  body.put(id.high);
  body.put(id.low);
  channel.tell(job.peers->receiver(job.peers->home_of(name)), MessageType::unpublish, body.take());
}

}  // namespace

bool may_be_published(const Error& error) noexcept {
  return error.code == Code::timed_out || error.code == Code::owner_lost;
}

Task<Status> publish_name(Job& job, Channel& channel, Key name, Entry entry, Deadline deadline) {
  const MemberId home = job.peers->home_of(name);
  WireWriter body;
  put_key(body, name);
  put_entry(body, entry);
  auto reply = co_await channel.call(job.peers->receiver(home), MessageType::publish, body.take(), deadline);
  if (reply) co_return Status{};
  // The home may have entered it after all, or do so yet; it must not point to an object that is gone. Behind
  // the request on the same way, so it cannot be overtaken by it. It goes with that way where it breaks: the
  // caller has it told until it was heard.
  if (may_be_published(reply.error())) unpublish_unheard(job, channel, name, entry.id);
  co_return name_peer(job, home, std::move(reply).error(), "Store::put");
}

Task<Result<Entry>> unpublish_name(Job& job, Channel& channel, Key name, ObjectId id, Deadline deadline) {
  const MemberId home = job.peers->home_of(name);
  WireWriter body;
  put_key(body, name);
  body.put(id.high);
  body.put(id.low);
  auto reply =
      co_await channel.call(job.peers->receiver(home), MessageType::unpublish, body.take(), deadline);
  if (!reply) co_return name_peer(job, home, std::move(reply).error(), "Store::erase");
  WireReader in(*reply);
  const Entry entry = get_entry(in);
  if (!in.ok()) co_return fail(Code::system, "Store::erase", "a member sent a reply that cannot be read");
  co_return entry;
}

namespace {

/// Asks once. A hold that got no answer is taken back.
Task<Result<std::shared_ptr<Reference>>> ask_to_hold(Job& job, Channel& channel, Entry entry, TokenId token,
                                                     Deadline deadline) {
  job.counters.add(Count::reference_messages);
  References& references = *job.references;
  const MemberId owner = entry.owner;
  const ObjectId id = entry.id;
  const HoldRequest request{id, references.ask(id), token, entry.layout};
  const TimePoint asked = job.clock.now();
  if (HOLDFAST_MUTATION(no_hold_before_redeem)) co_return references.granted(entry, request.number, asked);
  WireWriter body;
  put_hold(body, request);
  auto reply = co_await channel.call(job.peers->receiver(owner), MessageType::hold, body.take(), deadline);
  if (reply) co_return references.granted(entry, request.number, asked);
  if (reply.error().code == Code::timed_out || reply.error().code == Code::owner_lost) {
    // It may have been granted, or be so yet. This follows the request on the same way, so it cannot be
    // overtaken by it; what is reported besides comes through even if their connection breaks.
    ReferenceReport undo;
    undo.undone.push_back({id, request.number});
    WireWriter report;
    put_report(report, undo);
    channel.tell(job.peers->receiver(owner), MessageType::report, report.take());
    references.not_answered(id, owner, request.number);
  } else {
    references.refused(id);
  }
  co_return name_peer(job, owner, std::move(reply).error(), "Store::redeem");
}

}  // namespace

Task<Result<std::shared_ptr<Reference>>> hold_object(Job& job, Channel& channel, Entry entry, TokenId token,
                                                     Deadline deadline) {
  // Kept until there is a newer one: its drop is to end what of it there may be.
  std::shared_ptr<Reference> doubtful;
  for (;;) {
    const TimePoint asked = job.clock.now();
    auto held = co_await ask_to_hold(job, channel, entry, token, deadline);
    if (!held || job.references->is_sure(asked, job.clock.now())) co_return held;
    // The answer lay here while this process was stopped, or on its way, for so long that the owner may have
    // given this member up since, and the hold with it.
    doubtful = std::move(*held);
  }
}

Task<Result<std::vector<Entry>>> parts_of_object(Job& job, Channel& channel, MemberId owner, ObjectId id,
                                                 Deadline deadline) {
  std::vector<Entry> entries;
  for (;;) {
    WireWriter body;
    put_id(body, id);
    body.put(static_cast<std::uint64_t>(entries.size()));
    auto reply = co_await channel.call(job.peers->receiver(owner), MessageType::parts, body.take(), deadline);
    if (!reply) co_return name_peer(job, owner, std::move(reply).error(), "Store::parts");
    WireReader in(*reply);
    const auto all = in.get<std::uint64_t>();
    const auto some = in.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < some && in.ok(); ++i) {
      entries.push_back(get_entry(in));
      if (entries.back().owner.value >= job.peers->size()) break;
    }
    if (!in.ok() || !in.at_end() || (some == 0 && entries.size() < all))
      co_return fail(Code::system, "Store::parts", "a member sent a reply that cannot be read");
    if (entries.size() >= all) co_return entries;
  }
}

Task<Status> erase_object(Job& job, Channel& channel, MemberId owner, ObjectId id, Deadline deadline) {
  WireWriter body;
  body.put(id.high);
  body.put(id.low);
  auto reply = co_await channel.call(job.peers->receiver(owner), MessageType::erase, body.take(), deadline);
  if (!reply) co_return name_peer(job, owner, std::move(reply).error(), "Store::erase");
  WireReader in(*reply);
  const auto named = in.get<std::uint8_t>();
  const Key name = get_key(in);
  if (!in.ok()) co_return fail(Code::system, "Store::erase", "a member sent a reply that cannot be read");
  if (named == 0) co_return Status{};
  auto gone = co_await unpublish_name(job, channel, name, id, deadline);
  if (!gone && gone.error().code != Code::not_found) co_return tl::unexpected(std::move(gone).error());
  co_return Status{};
}

Task<Status> pass_barrier(Job& job, Channel& channel, std::uint64_t number, Deadline deadline) {
  constexpr MemberId kRoot{0};
  WireWriter body;
  body.put(number);
  const auto reply =
      co_await channel.call(job.peers->receiver(kRoot), MessageType::arrive, body.take(), deadline);
  if (reply) co_return Status();
  if (reply.error().code == Code::timed_out)
    co_return fail(Code::timed_out, "Store::barrier", "not all members arrived before the deadline");
  co_return name_peer(job, kRoot, reply.error(), "Store::barrier");
}

}  // namespace holdfast
