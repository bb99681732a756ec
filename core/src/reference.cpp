// Ids, references and their tokens.
#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "holdfast/base/checksum.h"
#include "holdfast/object_ref.h"
#include "src/member.h"
#include "src/owned.h"
#include "src/run.h"
#include "src/wire.h"

namespace holdfast {
namespace {

constexpr std::string_view kTokenPrefix = "hf2-";
constexpr std::string_view kDigits = "0123456789abcdef";

void append_hex(std::string& text, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
}

/// Nothing if `text` is not an even number of hexadecimal digits.
std::optional<std::vector<std::byte>> parse_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    for (const char c : text.substr(i, 2)) {
      const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
      const auto digit = kDigits.find(lower);
      if (digit == std::string_view::npos) return std::nullopt;
      value = value * 16 + static_cast<unsigned>(digit);
    }
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

std::uint64_t job_hash(std::string_view job) { return checksum(std::as_bytes(std::span(job))); }

}  // namespace

std::string ObjectId::to_hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Result<ObjectId> ObjectId::from_hex(std::string_view text) {
  const auto bytes = parse_hex(text);
  if (!bytes || bytes->size() != kBytes)
    return fail(Code::invalid, "ObjectId::from_hex",
                fmt::format("\"{}\" is not an object id; it has {} hexadecimal digits", text.substr(0, 64),
                            kHexDigits));
  std::array<std::byte, kBytes> id;
  std::ranges::copy(*bytes, id.begin());
  return from_bytes(id);
}

std::array<std::byte, ObjectId::kBytes> ObjectId::to_bytes() const noexcept {
  std::array<std::byte, kBytes> bytes;
  const std::uint64_t words[2] = {__builtin_bswap64(high), __builtin_bswap64(low)};
  std::memcpy(bytes.data(), words, sizeof words);
  return bytes;
}

ObjectId ObjectId::from_bytes(const std::array<std::byte, kBytes>& bytes) noexcept {
  std::uint64_t words[2];
  std::memcpy(words, bytes.data(), sizeof words);
  return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}

bool ObjectRef::is_ready() const {
  const auto member = reference_ ? reference_->table().member() : nullptr;
  if (!member || member->closed()) return false;
  const auto entry = member->entry_of(*this, "ObjectRef::is_ready");
  return entry && member->is_ready(*entry);
}

std::string ObjectRef::token() const {
  const auto member = reference_ ? reference_->table().member() : nullptr;
  return member && !member->closed() ? member->token_of(*this) : std::string();
}

ObjectRef Member::make_ref(const Entry& entry, std::shared_ptr<Reference> reference) const {
  ObjectRef ref;
  ref.id_ = entry.id;
  ref.size_ = entry.layout.size;
  ref.flags_ = entry.layout.flags;
  ref.location_ = entry.location;
  ref.owner_ = entry.owner;
  ref.owner_incarnation_ = job_.peers->card(entry.owner).incarnation;
  ref.reference_ = std::move(reference);
  return ref;
}

Result<Entry> Member::entry_of(const ObjectRef& ref, std::string_view operation) const {
  if (!ref) return fail(Code::invalid, operation, "the reference is empty");
  if (ref.owner_.value >= size() || job_.peers->card(ref.owner_).incarnation != ref.owner_incarnation_)
    return fail(Code::invalid, operation,
                "the reference is of another job, or of an earlier life of its owner");
  return Entry{ref.id_, ref.location_, {ref.size_, ref.flags_}, ref.owner_};
}

std::string Member::token_of(const ObjectRef& ref) {
  const bool own = ref.owner_ == job_.peers->self();
  const TokenId token =
      own ? job_.holdings->make_token(ref.id_) : job_.references->make_token(ref.reference_);
  if (own) job_.references->nudge();  // that it will end
  WireWriter out;
  out.put(job_hash(job_.name));
  out.put(ref.id_.high);
  out.put(ref.id_.low);
  out.put(ref.owner_.value);
  out.put(ref.owner_incarnation_);
  out.put(ref.location_);
  out.put(ref.size_);
  out.put(ref.flags_);
  out.put(token.maker.value);
  out.put(token.number);
  out.put(static_cast<std::uint32_t>(checksum(out.bytes())));
  std::string text(kTokenPrefix);
  append_hex(text, out.bytes());
  return text;
}

Result<ObjectRef> Member::redeem(std::string_view token, Duration timeout) {
  const auto bad = [](std::string_view why) {
    return fail(Code::invalid, "Store::redeem",
                fmt::format("{}; pass on the whole text that ObjectRef::token gave", why));
  };
  if (!token.starts_with(kTokenPrefix)) return bad("this is not a reference of this version");
  const auto bytes = parse_hex(token.substr(kTokenPrefix.size()));
  if (!bytes || bytes->size() < sizeof(std::uint32_t)) return bad("the token is damaged");
  WireReader in(*bytes);
  const auto job = in.get<std::uint64_t>();
  ObjectRef ref;
  ref.id_.high = in.get<std::uint64_t>();
  ref.id_.low = in.get<std::uint64_t>();
  ref.owner_.value = in.get<std::uint32_t>();
  ref.owner_incarnation_ = in.get<std::uint64_t>();
  ref.location_ = in.get<std::uint64_t>();
  ref.size_ = in.get<std::uint64_t>();
  ref.flags_ = in.get<std::uint32_t>();
  TokenId made;
  made.maker.value = in.get<std::uint32_t>();
  made.number = in.get<std::uint64_t>();
  const auto sum = in.get<std::uint32_t>();
  if (!in.ok() || !in.at_end()) return bad("the token is truncated or too long");
  const std::span covered = std::span(*bytes).first(bytes->size() - sizeof sum);
  if (sum != static_cast<std::uint32_t>(checksum(covered))) return bad("the token is damaged");
  if (job != job_hash(job_.name))
    return fail(Code::invalid, "Store::redeem",
                "the token is of another job; references live within one job");
  if (!BlockLayout::flags_valid(ref.flags_) || ref.size_ > kMaxPayloadBytes || made.number == 0)
    return bad("the token is damaged");
  HOLDFAST_TRY(const Entry entry, entry_of(ref, "Store::redeem"));
  return hold(entry, made, timeout);
}

Result<std::vector<Part>> Member::as_parts(std::span<const ObjectRef> refs) const {
  std::vector<Part> parts;
  parts.reserve(refs.size());
  for (const ObjectRef& ref : refs) {
    HOLDFAST_TRY(const Entry entry, entry_of(ref, "PutOptions::parts"));
    parts.push_back({entry, ref.reference_});
  }
  return parts;
}

Result<std::vector<ObjectRef>> Member::parts(const Entry& entry, Duration timeout) {
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  std::vector<Entry> entries;
  if (entry.owner == job_.peers->self()) {
    HOLDFAST_TRY(entries, job_.holdings->parts_of(entry.id));
  } else {
    HOLDFAST_TRY(entries, run<std::vector<Entry>>(0, [&](Channel& channel, auto done) {
                   spawn(parts_of_object(job_, channel, entry.owner, entry.id, deadline), done);
                 }));
  }
  // The object keeps them until they are held.
  std::vector<ObjectRef> refs;
  for (const Entry& part : entries) {
    HOLDFAST_TRY(ObjectRef ref, hold(part, {}, deadline.left(job_.clock)));
    refs.push_back(std::move(ref));
  }
  return refs;
}

Result<std::string> Member::why(const Entry& entry, Duration timeout) {
  if (entry.owner == job_.peers->self()) return job_.holdings->why(entry.id);
  const Deadline deadline = Deadline::after(job_.clock, timeout);
  WireWriter body;
  put_id(body, entry.id);
  const auto reply = run<std::vector<std::byte>>(0, [&](Channel& channel, auto done) {
    spawn(channel.call(job_.peers->receiver(entry.owner), MessageType::why, body.take(), deadline), done);
  });
  if (!reply) return name_peer(job_, entry.owner, reply.error(), "Store::why");
  return WireReader(*reply).get_text();
}

Result<ObjectRef> Member::hold(const Entry& entry, const TokenId& token, Duration timeout) {
  HOLDFAST_TRY(std::shared_ptr<Reference> held, hold_here(job_, entry, token));
  if (held == nullptr) {
    const Deadline deadline = Deadline::after(job_.clock, timeout);
    HOLDFAST_TRY(held, run<std::shared_ptr<Reference>>(0, [&](Channel& channel, auto done) {
                   spawn(hold_object(job_, channel, entry, token, deadline), done);
                 }));
  }
  return make_ref(entry, std::move(held));
}

}  // namespace holdfast
