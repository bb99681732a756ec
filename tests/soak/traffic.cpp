#include "tests/soak/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace holdfast::soak {
namespace {

using namespace std::chrono_literals;

// Nothing takes as long on a machine that does much else: who waits as long hangs.
constexpr Duration kLong = 120s;
// A put waits at most as long for room: others keep it for longer.
constexpr Duration kForRoom = 3s;

constexpr std::uint64_t kSmallest = 8, kLargest = 2_MiB;
constexpr std::uint64_t kMailSlots = 4, kShelfSlots = 8;

// Objects whose seed is odd may be erased by whoever has a reference; the others live as long as they are
// held.
constexpr bool may_vanish(std::uint64_t seed) noexcept { return (seed & 1) != 0; }

// An object's first word is its seed, so that who has found it by a name knows the rest.
std::uint64_t word_at(std::uint64_t seed, std::uint64_t i) noexcept {
  return i == 0 ? seed : mix64(seed + i * 0x9e3779b97f4a7c15ULL);
}

void fill(std::span<std::byte> bytes, std::uint64_t seed) noexcept {
  for (std::uint64_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = word_at(seed, i / 8);
    std::memcpy(bytes.data() + i, &word, std::min<std::uint64_t>(8, bytes.size() - i));
  }
}

/// `bytes` are those from `offset` on, a multiple of 8.
bool is_filled(std::span<const std::byte> bytes, std::uint64_t seed, std::uint64_t offset) noexcept {
  for (std::uint64_t i = 0; i < bytes.size(); i += 8) {
    const std::uint64_t word = word_at(seed, (offset + i) / 8);
    if (std::memcmp(bytes.data() + i, &word, std::min<std::uint64_t>(8, bytes.size() - i)) != 0) return false;
  }
  return true;
}

std::uint64_t seed_in(std::span<const std::byte> bytes) noexcept {
  std::uint64_t seed = 0;
  std::memcpy(&seed, bytes.data(), std::min(sizeof seed, bytes.size()));
  return seed;
}

}  // namespace

Totals& Totals::operator+=(const Totals& other) noexcept {
  operations += other.operations;
  bytes += other.bytes;
  tokens += other.tokens;
  full += other.full;
  lost += other.lost;
  return *this;
}

Traffic::Traffic(Store& store, const TrafficOptions& options) noexcept
    : store_(store), options_(options), random_(mix64(options.seed)), buffer_(kLargest) {}

std::uint64_t Traffic::dice(std::uint64_t below) { return mix64(random_ += 0x9e3779b97f4a7c15ULL) % below; }

void Traffic::wrong(std::string_view what, std::string_view why) const {
  fmt::print(stderr, "soak: rank {} thread {} seed {}: {}: {}\n", store_.rank(), options_.thread,
             options_.seed, what, why);
  std::fflush(stderr);
  std::_Exit(1);
}

Name Traffic::mail(std::uint32_t from, std::uint32_t to, std::uint64_t slot) const {
  return name("mail", options_.thread, from, to, slot);
}
Name Traffic::shelf(std::uint32_t owner, std::uint64_t slot) const {
  return name("shelf", options_.thread, owner, slot);
}

bool Traffic::accept_lost(const Error& error) {
  if (!victim_ || error.code != Code::owner_lost) return false;
  ++totals_.lost;
  return true;
}

bool Traffic::may_be_lost(const ObjectRef& ref) const {
  return victim_ == kAllMembers || victim_ == ref.owner().value;
}

/// Whether a call for an object that is held here may have ended so.
bool Traffic::accept(const Error& error, const Held& held, std::string_view what) {
  if (error.code == Code::not_found && may_vanish(held.seed)) return true;
  if (error.code == Code::full) return ++totals_.full, true;
  if (may_be_lost(held.ref) && accept_lost(error)) return true;
  wrong(what, error.message());
}

void Traffic::look_at(std::span<const std::byte> bytes, std::uint64_t seed, std::uint64_t offset) {
  totals_.bytes += bytes.size();
  if (!is_filled(bytes, seed, offset))
    wrong("get", fmt::format("wrong bytes: {} from {} of the object of seed {}", bytes.size(), offset, seed));
}

std::uint64_t Traffic::random_size() {
  // As many small ones as large ones, by powers of two.
  const std::uint64_t limit = kSmallest << dice(19);
  return std::min(kLargest, limit + dice(limit));
}

const Traffic::Held& Traffic::any() { return held_[dice(held_.size())]; }

std::uint32_t Traffic::any_member() { return static_cast<std::uint32_t>(dice(store_.size())); }

void Traffic::hold(ObjectRef ref, std::uint64_t seed) {
  held_bytes_ += ref.size();
  held_.push_back({std::move(ref), seed});
  while (held_bytes_ > options_.most_held_bytes) drop();
}

PutOptions Traffic::put_options() {
  PutOptions options;
  options.timeout = kForRoom;
  if (dice(8) == 0) options.checksum = PutOptions::Checksum::off;
  if (dice(8) == 0) options.alignment = 4096;
  return options;
}

void Traffic::put() {
  const std::uint64_t seed = dice(~0ULL), size = random_size();
  PutOptions options = put_options();
  if (options_.with_parts && dice(4) == 0)
    for (std::uint64_t i = dice(4); i > 0 && !held_.empty(); --i) options.parts.push_back(any().ref);
  auto draft = store_.draft(size, options);
  if (!draft) {
    if (draft.error().code != Code::full) wrong("draft", draft.error().message());
    ++totals_.full;
    return drop();
  }
  if (dice(16) == 0) return;  // never sealed
  fill(draft->bytes(), seed);
  auto ref = std::move(*draft).seal();
  if (!ref) wrong("seal", ref.error().message());
  totals_.bytes += size;
  hold(std::move(*ref), seed);
}

void Traffic::put_named() {
  const std::uint64_t seed = dice(~0ULL), size = random_size();
  const Name as = shelf(store_.rank(), dice(kShelfSlots));
  if (dice(2) == 0) {
    const Status erased = store_.erase(as, kLong);
    if (!erased && erased.error().code != Code::not_found && !accept_lost(erased.error()))
      wrong("erase of a name", erased.error().message());
    return;
  }
  fill(std::span(buffer_).first(size), seed | 1);  // whoever finds it may find it gone
  const auto ref = store_.put(as, std::span(buffer_).first(size), put_options());
  if (ref) {
    totals_.bytes += size;
    if (victim_) named_.push_back(*ref);
  } else if (ref.error().code == Code::full) {
    ++totals_.full;
  } else if (ref.error().code != Code::exists && !accept_lost(ref.error())) {
    wrong("put of a name", ref.error().message());
  }
}

void Traffic::get() {
  const Held& held = any();
  const auto pin = store_.get(held.ref, kLong);
  if (pin)
    look_at(pin->bytes(), held.seed, 0);
  else
    accept(pin.error(), held, "get");
}

void Traffic::get_range() {
  const Held& held = any();
  const std::uint64_t offset = dice(held.ref.size() + 1) / 8 * 8;
  const std::uint64_t bytes = dice(held.ref.size() - offset + 1);
  const auto pin = store_.get(held.ref, {offset, bytes}, kLong);
  if (pin)
    look_at(pin->bytes(), held.seed, offset);
  else
    accept(pin.error(), held, "get of a range");
}

void Traffic::get_copy() {
  const Held& held = any();
  const auto size = store_.get_into(held.ref, buffer_, kLong);
  if (size)
    look_at(std::span(buffer_).first(*size), held.seed, 0);
  else
    accept(size.error(), held, "get_into");
}

void Traffic::get_overlapped() {
  const Held &first = any(), &second = any();
  Op<Pin> one = store_.fetch(first.ref), other = store_.fetch(second.ref);
  if (dice(4) == 0) std::move(one).cancel();
  const auto pin = std::move(other).wait(kLong);
  if (pin)
    look_at(pin->bytes(), second.seed, 0);
  else
    accept(pin.error(), second, "fetch");
}

void Traffic::get_many() {
  std::vector<Held> some;
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = dice(8) + 1, bytes = 0; i > 0; --i) {
    const Held& held = any();
    bytes += held.ref.size();
    if (bytes > options_.most_pinned_bytes) break;
    some.push_back(held);
    refs.push_back(held.ref);
  }
  const auto pins = store_.get_many(refs, kLong);
  for (std::size_t i = 0; i < pins.size(); ++i)
    if (pins[i])
      look_at(pins[i]->bytes(), some[i].seed, 0);
    else
      accept(pins[i].error(), some[i], "get_many");
}

void Traffic::get_named() {
  GetOptions options;
  options.missing = GetOptions::Missing::fail;
  const auto pin = store_.get(shelf(any_member(), dice(kShelfSlots)), kLong, options);
  if (pin) return look_at(pin->bytes(), seed_in(pin->bytes()), 0);
  if (pin.error().code == Code::full)
    ++totals_.full;
  else if (pin.error().code != Code::not_found && !accept_lost(pin.error()))
    wrong("get by name", pin.error().message());
}

void Traffic::pin() {
  if (!pinned_.empty() && dice(2) == 0) {
    Pinned& some = pinned_[dice(pinned_.size())];
    look_at(some.pin.bytes(), some.seed, 0);
    pinned_bytes_ -= some.pin.size();
    std::swap(some, pinned_.back());
    pinned_.pop_back();
    return;
  }
  const Held& held = any();
  if (pinned_bytes_ + held.ref.size() > options_.most_pinned_bytes) return;
  auto pin = store_.get(held.ref, kLong);
  if (!pin) return void(accept(pin.error(), held, "get to pin"));
  pinned_bytes_ += pin->size();
  pinned_.push_back({std::move(*pin), held.seed});
}

void Traffic::send_token() {
  const Held& held = any();
  const std::string letter = fmt::format("{} {}", held.seed, held.ref.token());
  const auto sent = store_.put(mail(store_.rank(), any_member(), dice(kMailSlots)),
                               std::as_bytes(std::span(letter)), put_options());
  if (sent) {
    if (victim_) named_.push_back(*sent);
    return;
  }
  if (sent.error().code == Code::full)
    ++totals_.full;
  else if (sent.error().code != Code::exists && !accept_lost(sent.error()))
    wrong("put of a token", sent.error().message());
}

void Traffic::receive_token() {
  const Name from = mail(any_member(), store_.rank(), dice(kMailSlots));
  GetOptions options;
  options.missing = GetOptions::Missing::fail;
  std::string letter;
  {
    const auto pin = store_.get(from, kLong, options);
    if (!pin) {
      if (pin.error().code == Code::full)
        ++totals_.full;
      else if (pin.error().code != Code::not_found && !accept_lost(pin.error()))
        wrong("get of a token", pin.error().message());
      return;
    }
    letter.assign(reinterpret_cast<const char*>(pin->bytes().data()), pin->size());
  }
  const Status erased = store_.erase(from, kLong);
  if (!erased && erased.error().code != Code::not_found && !accept_lost(erased.error()))
    wrong("erase of a token", erased.error().message());
  const std::uint64_t seed = std::stoull(letter);
  auto ref = store_.redeem(std::string_view(letter).substr(letter.find(' ') + 1), kLong);
  if (!ref) {
    const Code code = ref.error().code;
    if (code == Code::expired || (code == Code::not_found && may_vanish(seed)) || accept_lost(ref.error()))
      return;
    // Its maker died before it had told the owner of the token: the object may be gone.
    if (code == Code::not_found && victim_) return;
    wrong("redeem", ref.error().message());
  }
  ++totals_.tokens;
  hold(std::move(*ref), seed);
}

void Traffic::look_at_parts() {
  const Held& held = any();
  const auto parts = store_.parts(held.ref, kLong);
  if (!parts) {
    // One of the parts may be erased, or its owner lost.
    if (parts.error().code != Code::not_found && !accept_lost(parts.error()))
      wrong("parts", parts.error().message());
    return;
  }
  for (const ObjectRef& part : *parts) {
    const auto pin = store_.get(part, kLong);
    if (pin)
      look_at(pin->bytes(), seed_in(pin->bytes()), 0);
    else if (pin.error().code == Code::full)
      ++totals_.full;
    else if (pin.error().code != Code::not_found && !accept_lost(pin.error()))
      wrong("get of a part", pin.error().message());
  }
}

void Traffic::wait() {
  std::vector<ObjectRef> refs;
  for (std::uint64_t i = dice(8) + 1; i > 0; --i) refs.push_back(any().ref);
  if (const Status asked = store_.prefetch(refs); !asked) wrong("prefetch", asked.error().message());
  auto draft = store_.draft(64, put_options());
  if (!draft) return void(++totals_.full);
  refs.push_back(draft->ref().value());
  if (dice(2) == 0) {
    fill(draft->bytes(), 0);
    if (const auto sealed = std::move(*draft).seal(); !sealed) wrong("seal", sealed.error().message());
  } else {
    refs.pop_back();
  }
  const auto ready = store_.wait(refs, refs.size(), kLong);
  if (!ready) wrong("wait", ready.error().message());
  if (ready->ready.size() != refs.size()) wrong("wait", "what is sealed is not ready");
}

void Traffic::ask() {
  const Held& held = any();
  const auto there = store_.contains(held.ref, kLong);
  if (!there) return void(accept(there.error(), held, "contains"));
  if (!*there && !may_vanish(held.seed) && !may_be_lost(held.ref))
    wrong("contains", "an object that is held is not there");
  if (const auto why = store_.why(held.ref, kLong); !why) accept(why.error(), held, "why");
}

void Traffic::drop() {
  if (held_.empty()) return;
  Held& some = held_[dice(held_.size())];
  held_bytes_ -= some.ref.size();
  std::swap(some, held_.back());
  held_.pop_back();
}

void Traffic::erase() {
  const Held& held = any();
  if (!may_vanish(held.seed)) return;
  if (const Status erased = store_.erase(held.ref, kLong); !erased) accept(erased.error(), held, "erase");
}

void Traffic::run(TimePoint until, std::optional<std::uint32_t> victim) {
  victim_ = victim;
  while (real_clock().now() < until) {
    ++totals_.operations;
    if (held_.size() < 4) {
      put();
      continue;
    }
    using Step = void (Traffic::*)();
    static constexpr Step kSteps[] = {&Traffic::put,           &Traffic::put,
                                      &Traffic::put,           &Traffic::put,
                                      &Traffic::get,           &Traffic::get,
                                      &Traffic::get_range,     &Traffic::get_copy,
                                      &Traffic::get_many,      &Traffic::get_overlapped,
                                      &Traffic::put_named,     &Traffic::get_named,
                                      &Traffic::pin,           &Traffic::send_token,
                                      &Traffic::send_token,    &Traffic::receive_token,
                                      &Traffic::receive_token, &Traffic::look_at_parts,
                                      &Traffic::wait,          &Traffic::ask,
                                      &Traffic::drop,          &Traffic::drop,
                                      &Traffic::erase};
    (this->*kSteps[dice(std::size(kSteps))])();
  }
}

void Traffic::let_go() {
  for (const Pinned& one : pinned_) look_at(one.pin.bytes(), one.seed, 0);
  pinned_.clear();
  held_.clear();
  held_bytes_ = pinned_bytes_ = 0;
  for (const ObjectRef& ref : named_)
    if (const Status erased = store_.erase(ref, kLong);
        !erased && erased.error().code != Code::not_found && !accept_lost(erased.error()))
      wrong("erase of a named object", erased.error().message());
  named_.clear();
  erase_names_of(store_.rank());
}

void Traffic::erase_names_of(std::uint32_t member) {
  std::vector<Name> names;
  for (std::uint64_t slot = 0; slot < kShelfSlots; ++slot) names.push_back(shelf(member, slot));
  for (std::uint32_t to = 0; to < store_.size(); ++to)
    for (std::uint64_t slot = 0; slot < kMailSlots; ++slot) names.push_back(mail(member, to, slot));
  for (const Name& one : names)
    if (const Status erased = store_.erase(one, kLong);
        !erased && erased.error().code != Code::not_found && !accept_lost(erased.error()))
      wrong("erase of a name", erased.error().message());
}

}  // namespace holdfast::soak
