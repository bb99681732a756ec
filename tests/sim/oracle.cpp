#include "tests/sim/oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace holdfast::sim::test {
namespace {

constexpr std::size_t kMostViolations = 20;

// Beyond its deadline an operation ends when its member is called: at once, but for the virtual time that
// takes.
constexpr Duration kNoticing = std::chrono::milliseconds(5);

// For a way to the disk and back, with others before.
constexpr Duration kEnoughForDisks = std::chrono::seconds(1);

}  // namespace

std::vector<std::byte> pattern(std::uint32_t object, std::uint64_t bytes) {
  std::vector<std::byte> made(bytes);
  for (std::uint64_t at = 0; at < bytes; at += 8) {
    const std::uint64_t word = mix64((std::uint64_t{object} << 32) + at + 1);
    std::memcpy(made.data() + at, &word, std::min<std::uint64_t>(8, bytes - at));
  }
  return made;
}

Key key_of_name(std::uint32_t number) { return key_of(name("name", number)).value(); }

void Oracle::complain(std::string what) {
  if (violations_.size() < kMostViolations)
    violations_.push_back(fmt::format("at {} us: {}", now().time_since_epoch().count() / 1000, what));
}

void Oracle::complain(const Operation& operation, const Error& error) {
  complain(fmt::format("rank {}: {}: {}", operation.member.value, operation.what, error.message()));
}

Oracle::Object* Oracle::find(std::uint32_t object) {
  const auto found = objects_.find(object);
  return found == objects_.end() ? nullptr : &found->second;
}

std::optional<std::uint32_t> Oracle::number_of(const ObjectId& id) const {
  for (const auto& [number, object] : objects_)
    if (object.id == id) return number;
  return std::nullopt;
}

Oracle::Naming& Oracle::naming(std::uint32_t name, std::uint32_t object) {
  for (auto& [number, erasure] : erasures_)
    if (erasure.name == name) {
      erasing(object);
      erasure.objects.push_back(object);
    }
  return names_[name].emplace_back(Naming{object, now(), {}, false});
}

std::uint64_t Oracle::erasing_name(std::uint32_t name) {
  Erasure erasure{name, now(), {}};
  for (const Naming& naming : names_[name]) {
    if (naming.failed) continue;
    erasing(naming.object);
    erasure.objects.push_back(naming.object);
  }
  erasures_.emplace(next_erasure_, std::move(erasure));
  return next_erasure_++;
}

MemberId Oracle::home_of(std::uint32_t name) const {
  for (std::uint32_t rank = 0; rank < cluster_.size(); ++rank)
    if (Life* const life = cluster_.life({rank})) return life->job().peers->home_of(key_of_name(name));
  return {};
}

// --- what was done on purpose

void Oracle::disk_trouble(MemberId member, Act act) {
  if (scenario_.disks == 0) return;
  slow_disks_[member.value] = true;
  if (act == Act::disk_full) full_disks_[member.value] = true;
  if (act == Act::disk_fail || act == Act::disk_damage) bad_disks_[member.value] = true;
}

void Oracle::stopped(MemberId member) {
  trouble(member);
  silences_.push_back({member, member, now(), {}});
}

void Oracle::resumed(MemberId member) {
  for (Silence& silence : silences_)
    if (silence.one == member && silence.other == member && !silence.end) silence.end = now();
}

/// By hosts: all on them are concerned.
void Oracle::cut(MemberId one, MemberId other) {
  for (std::uint32_t a = 0; a < cluster_.size(); ++a)
    for (std::uint32_t b = 0; b < cluster_.size(); ++b)
      if (cluster_.host({a}) == cluster_.host(one) && cluster_.host({b}) == cluster_.host(other)) {
        trouble({a});
        trouble({b});
        silences_.push_back({{a}, {b}, now(), {}});
      }
}

void Oracle::healed() {
  for (Silence& silence : silences_)
    if (silence.one != silence.other && !silence.end) silence.end = now();
}

/// One may have declared the other dead since: it was silent for as long as that takes, but for moments in
/// which nobody may have looked.
bool Oracle::were_silent(MemberId one, MemberId other, TimePoint after) const {
  constexpr Duration kBetweenLooks = std::chrono::seconds(1);
  const Duration noticed =
      std::chrono::milliseconds(std::max(scenario_.detection_ms, scenario_.member_timeout_ms));
  TimePoint start;
  std::optional<TimePoint> end;               // of the last silences, together
  for (const Silence& silence : silences_) {  // in the order of their starts
    const bool concerned = (silence.one == one && silence.other == other) ||
                           (silence.one == other && silence.other == one) ||
                           (silence.one == silence.other && (silence.one == one || silence.one == other));
    if (!concerned) continue;
    if (!end || silence.start > *end + kBetweenLooks) start = silence.start;
    end = std::max(end.value_or(start), silence.end.value_or(now()));
    if (*end - start >= noticed && *end > after) return true;
  }
  return false;
}

/// There and back, over several hops, with a connection to be made first.
Duration Oracle::longest_trip() const {
  constexpr int kHops = 30, kStragglers = 5;
  const Duration straggling = std::chrono::microseconds(scenario_.straggle_us);
  return kNoticing + kHops * std::chrono::microseconds(scenario_.jitter_us) +
         (scenario_.straggler_one_in != 0 ? kStragglers * straggling : Duration::zero());
}

/// Its time was too short for the way.
bool Oracle::was_hurried(const Operation& operation) const {
  const bool slow = scenario_.jitter_us > 100 || scenario_.straggler_one_in != 0;
  return slow && operation.deadline.time() - operation.start < longest_trip();
}

/// Before it could have heard anything.
bool Oracle::was_called_off(const Operation& operation) const {
  return operation.called_off && now() >= *operation.called_off;
}

/// Until so late that the news could not come in time.
bool Oracle::was_pending(const Operation& operation, const Object& object) const {
  return object.state == State::drafting || object.decided_from + longest_trip() > operation.deadline.time();
}

bool Oracle::may_be_gone(const Object& object, MemberId holder, TimePoint since) const {
  return object.erases > 0 || object.state == State::failed || object.state == State::abandoned ||
         cluster_.lives(object.owner) != object.owner_life || were_silent(object.owner, holder, since);
}

// --- what came of it

void Oracle::ended(const Operation& operation) {
  if (cluster_.lives(operation.member) != operation.life || cluster_.life(operation.member) == nullptr)
    return;
  TimePoint latest = operation.deadline.time();
  // What is under way then, a read, say, ends first.
  constexpr Duration kUnderWay = std::chrono::milliseconds(20);
  if (operation.called_off && troubled_.empty() && slow_disks_.empty() && scenario_.disks == 0)
    latest = std::min(latest, *operation.called_off + longest_trip() + kUnderWay);
  for (const Silence& silence : silences_)
    if (silence.one == operation.member && silence.other == operation.member && silence.end)
      latest = std::max(latest, *silence.end);
  if (now() > latest + kNoticing)
    complain(fmt::format("rank {}: {}: ended {} us too late", operation.member.value, operation.what,
                         (now() - latest).count() / 1000));
}

void Oracle::counted(const Operation& operation, std::size_t results, std::size_t objects) {
  if (results != objects)
    complain(fmt::format("rank {}: {}: {} results for {} objects", operation.member.value, operation.what,
                         results, objects));
}

void Oracle::never_ended(const Operation& operation) {
  complain(fmt::format("rank {}: {}: never ended", operation.member.value, operation.what));
}

/// What comes from a disk, and needs room to come back to.
bool Oracle::may_be_from_disk(const Operation& operation, const Object& object, Code code) const {
  if (scenario_.disks == 0) return false;
  const bool bad = bad_disks_.contains(object.owner.value);
  if (code != Code::timed_out) return bad && (code == Code::corrupt || code == Code::system);
  // A directory that refused a write is not asked again until a file of ours there has gone: what is in
  // memory may have to stay there.
  return bad || full_disks_.contains(object.owner.value) || scenario_.disk_kib != 0 ||
         slow_disks_.contains(object.owner.value) || shared_memory_with_many(operation, object.owner) ||
         had_memory_pinned(operation, object.owner) ||
         operation.deadline.time() - operation.start < kEnoughForDisks;
}

bool Oracle::may_be(const Operation& operation, const Object& object, const Error& error) const {
  const bool concerned = is_troubled(operation.member) || is_troubled(object.owner);
  if (may_be_from_disk(operation, object, error.code)) return true;
  switch (error.code) {
    case Code::not_found:
      return may_be_gone(object, operation.member, operation.held_since);
    case Code::timed_out:
      return was_pending(operation, object) || was_hurried(operation) || was_called_off(operation) ||
             concerned;
    case Code::owner_lost:
      return concerned;
    case Code::full:
      return may_be_full(operation, {object.owner});
    case Code::invalid:
    case Code::denied:
      return may_be_strangers(operation.member, object.owner);
    default:
      return false;
  }
}

void Oracle::judge(const Operation& operation, const Object& object, const Error& error) {
  if (!may_be(operation, object, error)) complain(operation, error);
}

void Oracle::check_bytes(const Operation& operation, std::uint32_t object, std::span<const std::byte> bytes,
                         const std::optional<ByteRange>& range) {
  const Object& it = objects_.at(object);
  const std::vector<std::byte> all = pattern(object, it.bytes);
  const std::span<const std::byte> expected =
      range ? std::span(all).subspan(range->offset, range->bytes) : std::span<const std::byte>(all);
  if (!was_sealed(it.state)) complain(operation.what + ": gave an object that was not sealed");
  if (bytes.size() != expected.size() ||
      (!expected.empty() && std::memcmp(bytes.data(), expected.data(), expected.size()) != 0))
    complain(fmt::format("rank {}: {}: gave other bytes than were sealed", operation.member.value,
                         operation.what));
}

void Oracle::check_not_erased(const Operation& operation, std::uint32_t object) {
  const Object& it = objects_.at(object);
  if (it.erased && *it.erased < operation.start)
    complain(fmt::format("rank {}: {}: found what had been erased", operation.member.value, operation.what));
}

void Oracle::got(const Operation& operation, std::uint32_t object, const Result<Pin>& pin,
                 const std::optional<ByteRange>& range) {
  if (!pin) return judge(operation, objects_.at(object), pin.error());
  check_not_erased(operation, object);
  check_bytes(operation, object, pin->bytes(), range);
}

void Oracle::copied(const Operation& operation, std::uint32_t object, const Result<std::uint64_t>& bytes,
                    std::span<const std::byte> into) {
  if (!bytes) return judge(operation, objects_.at(object), bytes.error());
  check_not_erased(operation, object);
  check_bytes(operation, object, into.first(std::min<std::size_t>(into.size(), *bytes)), {});
}

void Oracle::waited(const Operation& operation, std::uint32_t object, const Result<Entry>& found) {
  const Object& it = objects_.at(object);
  if (!found) return judge(operation, it, found.error());
  check_not_erased(operation, object);
  if (!was_sealed(it.state) || found->id != it.id)
    complain(operation.what + ": says that it is sealed, which it is not");
}

const Oracle::Naming* Oracle::stable(std::uint32_t name, TimePoint before) const {
  const auto known = names_.find(name);
  if (known == names_.end()) return nullptr;
  for (const Naming& naming : known->second)
    if (const Object& object = objects_.at(naming.object);
        naming.done && *naming.done < before && object.erases == 0 && is_owners_life(object) &&
        !were_silent(object.owner, home_of(name), naming.start))
      return &naming;
  return nullptr;
}

bool Oracle::named_troubled(const Operation& operation, std::uint32_t name) const {
  if (is_troubled(operation.member) || is_troubled(home_of(name))) return true;
  const auto known = names_.find(name);
  return known != names_.end() && std::ranges::any_of(known->second, [this](const Naming& naming) {
           return is_troubled(objects_.at(naming.object).owner);
         });
}

void Oracle::judge_named(const Operation& operation, std::uint32_t name, bool waited, const Error& error) {
  const bool concerned = named_troubled(operation, name);
  const Naming* const there = stable(name, operation.start);
  std::vector<MemberId> owners{home_of(name)};
  for (const Naming& naming : names_[name]) owners.push_back(objects_.at(naming.object).owner);
  const auto allowed = [&] {
    for (const Naming& naming : names_[name])
      if (may_be_from_disk(operation, objects_.at(naming.object), error.code)) return true;
    switch (error.code) {
      case Code::not_found:
        return there == nullptr || concerned;
      case Code::timed_out:
        return (waited && there == nullptr) || was_hurried(operation) || was_called_off(operation) ||
               concerned;
      case Code::owner_lost:
        return concerned;
      case Code::full:
        return may_be_full(operation, owners);
      case Code::invalid:
      case Code::denied:
        return concerned;
      default:
        return false;
    }
  };
  if (!allowed()) complain(operation, error);
}

/// It was not refused, and not erased before.
bool Oracle::may_be_found(const Operation& operation, const Naming& naming) const {
  const Object& object = objects_.at(naming.object);
  return !naming.failed && was_sealed(object.state) && !(object.erased && *object.erased < operation.start);
}

void Oracle::got_by_name(const Operation& operation, std::uint32_t name, bool waited,
                         const Result<Pin>& pin) {
  if (!pin) return judge_named(operation, name, waited, pin.error());
  for (const Naming& naming : names_[name]) {
    if (!may_be_found(operation, naming)) continue;
    const std::vector<std::byte> bytes = pattern(naming.object, objects_.at(naming.object).bytes);
    if (std::ranges::equal(bytes, pin->bytes())) return;
  }
  complain(fmt::format("rank {}: {}: gave bytes that nobody sealed under the name, or that were erased",
                       operation.member.value, operation.what));
}

void Oracle::looked_up(const Operation& operation, std::uint32_t name, bool waited,
                       const Result<Handle>& handle) {
  if (!handle) return judge_named(operation, name, waited, handle.error());
  if (std::ranges::none_of(names_[name], [&](const Naming& naming) {
        return may_be_found(operation, naming) && objects_.at(naming.object).id == handle->entry.id;
      }))
    complain(operation.what + ": gave an object that never had the name, or has it no more");
}

void Oracle::not_made(const Operation& operation, const Error& error) {
  if (error.code != Code::full || !may_lack_room(operation, operation.member)) complain(operation, error);
}

void Oracle::got_parts(const Operation& operation, std::uint32_t object,
                       const Result<std::vector<Handle>>& parts) {
  const Object& it = objects_.at(object);
  if (!parts) {
    const bool from_part = std::ranges::any_of(it.parts, [&](std::uint32_t part) {
      // They are there as long as the object's owner holds them.
      return may_be(operation, objects_.at(part), parts.error()) ||
             (parts.error().code == Code::not_found && may_be_gone(objects_.at(part), it.owner, {}));
    });
    if (!from_part) judge(operation, it, parts.error());
    return;
  }
  std::vector<ObjectId> expected, is;
  for (const std::uint32_t part : it.parts) expected.push_back(objects_.at(part).id);
  for (const Handle& part : *parts) is.push_back(part.entry.id);
  if (is != expected) complain(operation.what + ": gave other parts than were declared");
}

void Oracle::sealed(const Operation& operation, std::uint32_t object, std::uint32_t name,
                    const Result<Handle>& handle) {
  Object& it = objects_.at(object);
  it.state = handle ? State::sealed : State::failed;
  Naming* naming = nullptr;
  if (name != 0)
    for (Naming& each : names_[name])
      if (each.object == object) naming = &each;
  if (handle) {
    if (naming == nullptr) return;
    naming->done = now();
    if (it.erases > 0) return;  // the name may be free again before its put has heard that it had it
    for (const Naming& other : names_[name])
      if (other.object != object && other.done && objects_.at(other.object).erases == 0 &&
          !is_troubled(home_of(name)))
        complain(fmt::format("{}: object {} has the name already", operation.what, other.object));
    return;
  }
  // Without an answer it may stand until its home has heard that it does not.
  const Code code = handle.error().code;
  if (naming != nullptr) naming->failed = code != Code::timed_out && code != Code::owner_lost;
  const bool concerned = is_troubled(operation.member) || (name != 0 && is_troubled(home_of(name)));
  const auto allowed = [&] {
    switch (handle.error().code) {
      case Code::exists:
        return name != 0 && std::ranges::any_of(names_[name], [&](const Naming& other) {
                 const Object& its = objects_.at(other.object);
                 return other.object != object && !other.failed &&
                        (!its.erased || *its.erased > operation.start);
               });
      case Code::timed_out:
        return name != 0 && (concerned || was_hurried(operation));
      case Code::owner_lost:
        return name != 0 && concerned;
      case Code::not_found:
        return name != 0 && it.erases > 0;
      case Code::full:
        return may_be_full(operation, {home_of(name)});
      case Code::denied:
        return concerned;
      default:
        return false;
    }
  };
  if (!allowed()) complain(operation, handle.error());
}

void Oracle::redeemed(const Operation& operation, const Token& token, const Result<Handle>& handle) {
  if (handle) return;
  const Object& it = objects_.at(token.object);
  const Error& error = handle.error();
  // Without its maker a token that the owner has not heard of is worth nothing; but who leaves has told
  // first.
  const bool told = left_.contains(token.maker.value) && !is_troubled(it.owner);
  const bool alone =
      (is_troubled(token.maker) && !told) || were_silent(token.maker, it.owner, token.held_since);
  if (error.code == Code::expired &&
      (alone || now() - token.made >= std::chrono::milliseconds(scenario_.token_ms)))
    return;
  if (error.code == Code::not_found && alone) return;
  judge(operation, it, error);
}

void Oracle::judge_erase(const Operation& operation, bool concerned, const Status& status) {
  if (status || status.error().code == Code::not_found) return;
  const Code code = status.error().code;
  const bool typed =
      code == Code::timed_out || code == Code::owner_lost || code == Code::denied || code == Code::full;
  if (!typed || (!concerned && !was_hurried(operation))) complain(operation, status.error());
}

void Oracle::erased(const Operation& operation, std::uint32_t object, const Status& status) {
  if (status) objects_.at(object).erased = now();
  if (!status && status.error().code == Code::not_found) --objects_.at(object).erases;
  const bool home_troubled = std::ranges::any_of(names_, [&](const auto& named) {
    return is_troubled(home_of(named.first)) &&
           std::ranges::any_of(named.second,
                               [object](const Naming& naming) { return naming.object == object; });
  });
  judge_erase(operation,
              is_troubled(operation.member) || is_troubled(objects_.at(object).owner) || home_troubled,
              status);
}

void Oracle::erased_name(const Operation& operation, std::uint64_t number, const Status& status) {
  const Erasure erasure = std::move(erasures_.extract(number).mapped());
  for (const std::uint32_t object : erasure.objects)
    if (!status && status.error().code == Code::not_found) --objects_.at(object).erases;
  if (status)
    for (const Naming& naming : names_[erasure.name])
      if (naming.done && *naming.done < erasure.start) objects_.at(naming.object).erased = now();
  judge_erase(operation, named_troubled(operation, erasure.name), status);
}

void Oracle::arrives(const Operation& operation, std::uint64_t barrier) {
  Arrival& arrival = arrivals_[barrier][operation.member.value];
  if (!arrival.heard && operation.deadline.time() - operation.start >= longest_trip())
    arrival.heard = now() + longest_trip();
}

void Oracle::passed(const Operation& operation, std::uint64_t barrier, const Status& status) {
  const auto& arrivals = arrivals_[barrier];
  if (status) {
    if (arrivals.size() < cluster_.size())
      complain(fmt::format("rank {}: {}: passed barrier {}, at which {} have arrived", operation.member.value,
                           operation.what, barrier, arrivals.size()));
    return;
  }
  const bool concerned = is_troubled(operation.member) || is_troubled({0});
  const auto late = [&](std::uint32_t rank) {
    const auto arrival = arrivals.find(rank);
    return is_troubled({rank}) || arrival == arrivals.end() || !arrival->second.heard ||
           *arrival->second.heard > operation.deadline.time();
  };
  bool somebody_late = false;
  for (std::uint32_t rank = 0; rank < cluster_.size(); ++rank) somebody_late = somebody_late || late(rank);
  const auto allowed = [&] {
    switch (status.error().code) {
      case Code::timed_out:
        return somebody_late || was_hurried(operation) || concerned;
      case Code::owner_lost:
      case Code::full:
        return concerned;
      case Code::invalid:
      case Code::denied:
        return may_be_strangers(operation.member, {0});
      default:
        return false;
    }
  };
  if (!allowed()) complain(operation, status.error());
}

}  // namespace holdfast::sim::test
