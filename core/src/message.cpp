#include "src/message.h"

#include <algorithm>
#include <string>

#include "holdfast/base/check.h"
#include "holdfast/fabric/fabric.h"

namespace holdfast {
namespace {

// Keeps a reply with an error below the longest message, whatever the detail says.
constexpr std::size_t kMostDetail = 1024;

}  // namespace

std::vector<std::byte> encode(const MessageHeader& header) {
  WireWriter out;
  out.put(MessageHeader::kMagic);
  out.put(header.type);
  out.put(header.from);
  out.put(header.from_incarnation);
  out.put(header.to_incarnation);
  out.put(header.request);
  out.put_bytes(header.reply_to);
  out.put_bytes(header.body);
  HOLDFAST_CHECK(out.bytes().size() <= fabric::kMaxMessageBytes, "a control message is too long");
  return out.take();
}

Result<MessageHeader> decode_message(std::span<const std::byte> bytes) {
  WireReader in(bytes);
  MessageHeader header;
  const auto magic = in.get<std::uint32_t>();
  header.type = in.get<MessageType>();
  header.from = in.get<std::uint32_t>();
  header.from_incarnation = in.get<std::uint64_t>();
  header.to_incarnation = in.get<std::uint64_t>();
  header.request = in.get<std::uint64_t>();
  header.reply_to = in.get_bytes();
  header.body = in.get_bytes();
  const bool known = header.type >= MessageType::reply && header.type <= MessageType::look;
  if (magic != MessageHeader::kMagic || !in.ok() || !in.at_end() || !known)
    return fail(Code::invalid, "decode_message", "not a message of this version");
  return header;
}

void put_id(WireWriter& out, const ObjectId& id) {
  out.put(id.high);
  out.put(id.low);
}

ObjectId get_id(WireReader& in) {
  ObjectId id;
  id.high = in.get<std::uint64_t>();
  id.low = in.get<std::uint64_t>();
  return id;
}

void put_key(WireWriter& out, const Key& key) {
  out.put(key.high);
  out.put(key.low);
  out.put(key.kind);
}

Key get_key(WireReader& in) {
  Key key;
  key.high = in.get<std::uint64_t>();
  key.low = in.get<std::uint64_t>();
  key.kind = in.get<Key::Kind>();
  return key;
}

void put_deadline(WireWriter& out, Deadline deadline, const Clock& clock) {
  const bool never = deadline.time() == TimePoint::max();
  out.put(never ? std::uint64_t{0} : 1 + static_cast<std::uint64_t>(deadline.left(clock).count()));
}

Deadline get_deadline(WireReader& in, const Clock& clock) {
  const auto left = in.get<std::uint64_t>();
  if (left == 0 || left > static_cast<std::uint64_t>(Duration::max().count())) return Deadline::never();
  return Deadline::after(clock, Duration(static_cast<Duration::rep>(left - 1)));
}

void put_entry(WireWriter& out, const Entry& entry) {
  out.put(entry.id.high);
  out.put(entry.id.low);
  out.put(entry.location);
  out.put(entry.layout.size);
  out.put(entry.layout.flags);
  out.put(entry.owner.value);
}

Entry get_entry(WireReader& in) {
  Entry entry;
  entry.id.high = in.get<std::uint64_t>();
  entry.id.low = in.get<std::uint64_t>();
  entry.location = in.get<std::uint64_t>();
  entry.layout.size = in.get<std::uint64_t>();
  entry.layout.flags = in.get<std::uint32_t>();
  entry.owner.value = in.get<std::uint32_t>();
  return entry;
}

void put_hold(WireWriter& out, const HoldRequest& request) {
  put_id(out, request.id);
  out.put(request.number);
  out.put(request.token.maker.value);
  out.put(request.token.number);
  out.put(request.layout.size);
  out.put(request.layout.flags);
}

HoldRequest get_hold(WireReader& in) {
  HoldRequest request;
  request.id = get_id(in);
  request.number = in.get<std::uint64_t>();
  request.token.maker.value = in.get<std::uint32_t>();
  request.token.number = in.get<std::uint64_t>();
  request.layout.size = in.get<std::uint64_t>();
  request.layout.flags = in.get<std::uint32_t>();
  return request;
}

void put_report(WireWriter& out, const ReferenceReport& report) {
  out.put(static_cast<std::uint32_t>(report.tokens.size()));
  out.put(static_cast<std::uint32_t>(report.drops.size()));
  out.put(static_cast<std::uint32_t>(report.undone.size()));
  for (const ReferenceReport::Token& token : report.tokens) {
    put_id(out, token.id);
    out.put(token.number);
  }
  for (const auto* drops : {&report.drops, &report.undone})
    for (const ReferenceReport::Drop& drop : *drops) {
      put_id(out, drop.id);
      out.put(drop.number);
    }
}

ReferenceReport get_report(WireReader& in) {
  const auto tokens = in.get<std::uint32_t>(), drops = in.get<std::uint32_t>(),
             undone = in.get<std::uint32_t>();
  ReferenceReport report;
  for (std::uint32_t i = 0; i < tokens && in.ok(); ++i) {
    const ObjectId id = get_id(in);
    report.tokens.push_back({id, in.get<std::uint64_t>(), nullptr});
  }
  const auto get_drops = [&in](std::vector<ReferenceReport::Drop>& into, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
      const ObjectId id = get_id(in);
      into.push_back({id, in.get<std::uint64_t>()});
    }
  };
  get_drops(report.drops, drops);
  get_drops(report.undone, undone);
  return report;
}

void put_status(WireWriter& out, const Status& status) {
  out.put(static_cast<std::uint8_t>(status ? 0 : 1));
  if (status) return;
  out.put(status.error().code);
  out.put_text(std::string_view(status.error().operation).substr(0, kMostDetail));
  out.put_text(std::string_view(status.error().detail).substr(0, kMostDetail));
}

Status get_status(WireReader& in) {
  const auto failed = in.get<std::uint8_t>();
  if (failed == 0 && in.ok()) return {};
  Error error;
  error.code = std::min(in.get<Code>(), Code::system);
  error.operation = in.get_text();
  error.detail = in.get_text();
  if (!in.ok()) return fail(Code::system, "get_status", "a member sent a reply that cannot be read");
  return tl::unexpected(std::move(error));
}

}  // namespace holdfast
