// Control messages between members: small, rare, and never with payload. Requests go to a member's serving
// endpoint; the reply goes to the endpoint the request came from, wherever its address leads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "holdfast/base/result.h"
#include "src/catalogue.h"
#include "src/references.h"
#include "src/wire.h"

namespace holdfast {

enum class MessageType : std::uint8_t {
  reply = 1,         ///< to any request: a status, then what the request's comment says
  publish = 2,       ///< name key, entry. Home: enters it. exists
  unpublish = 3,     ///< name key, object id or zero (any). Home: takes it out; replies its entry. not_found
  await_name = 4,    ///< name key, deadline. Home: replies its entry, when it is there
  await_object = 5,  ///< object key, deadline. Owner: replies its entry, when it is sealed. not_found
  give_up = 6,       ///< key, number of the await request: it is not waited for any more. No reply
  erase = 7,   ///< object id. Owner: erases the object; replies whether it had a name, and its key. not_found
  keys = 8,    ///< arena offset. Owner: exposes the region there if need be; replies its key
  arrive = 9,  ///< barrier number. Rank 0: replies when all have arrived
  hold = 10,   ///< object id, hold's number, token (number 0: none), layout. Owner: counts the sender.
               ///< not_found, expired, invalid (another layout)
  report = 11,    ///< numbers of tokens, drops, undone; then these (id, number). Owner: notes all
  leave = 12,     ///< the sender closes: all it holds is dropped. No reply
  ping = 13,      ///< nothing: sending it shows whether the peer's endpoint is still there, no reply; or how
                  ///< long the sender has waited for a word of the peer: replies
  restore = 14,   ///< object key, deadline. Owner: brings it back from disk; replies its entry. not_found,
                  ///< corrupt, system
  prefetch = 15,  ///< number of objects, their ids. Owner: brings them back from disk. No reply
  parts = 16,     ///< object id, first. Owner: replies how many parts it has, how many follow, their entries.
                  ///< not_found
  used = 17,      ///< number of objects, the low halves of their ids: the sender has got them. No reply
  why = 18,       ///< object id. Owner: replies what it knows of it, for people
  hurry = 19,     ///< the sender is short of memory: what is to be reported to it goes now. No reply
  look = 20,      ///< key. Home or owner: replies its entry. not_found
};

/// What keeps objects alive, and finds out who is: the traffic of garbage collection.
constexpr bool is_about_references(MessageType type) noexcept {
  return type == MessageType::hold || type == MessageType::report || type == MessageType::leave ||
         type == MessageType::hurry || type == MessageType::ping;
}

struct MessageHeader {
  static constexpr std::uint32_t kMagic = 0x31464c48;  // "HLF1"
  MessageType type = MessageType::ping;
  std::uint32_t from = 0;  ///< rank
  std::uint64_t from_incarnation = 0;
  std::uint64_t to_incarnation = 0;     ///< whom it is meant for; another life of a member refuses it
  std::uint64_t request = 0;            ///< numbers requests of one endpoint; a reply repeats it
  std::span<const std::byte> reply_to;  ///< endpoint address; empty in replies
  std::span<const std::byte> body;
};

std::vector<std::byte> encode(const MessageHeader& header);
/// Spans point into `bytes`. Errors: invalid.
Result<MessageHeader> decode_message(std::span<const std::byte> bytes);

void put_id(WireWriter& out, const ObjectId& id);
ObjectId get_id(WireReader& in);
void put_key(WireWriter& out, const Key& key);
Key get_key(WireReader& in);
void put_entry(WireWriter& out, const Entry& entry);
Entry get_entry(WireReader& in);

/// As the time that is left: clocks of two members have nothing in common.
void put_deadline(WireWriter& out, Deadline deadline, const Clock& clock);
Deadline get_deadline(WireReader& in, const Clock& clock);

void put_hold(WireWriter& out, const HoldRequest& request);
HoldRequest get_hold(WireReader& in);
void put_report(WireWriter& out, const ReferenceReport& report);
/// The owner is left as it is.
ReferenceReport get_report(WireReader& in);
/// Items that surely fit into a message.
inline constexpr std::size_t kReportItems = 128;
inline constexpr std::size_t kPrefetchItems = 128;
inline constexpr std::size_t kPartItems = 64;
inline constexpr std::size_t kUsedItems = 256;

/// Of a text for people, what surely fits into one message; no letter is cut in two.
inline constexpr std::size_t kMostText = 3584;
constexpr std::string_view fitting(std::string_view text) noexcept {
  if (text.size() <= kMostText) return text;
  std::size_t end = kMostText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

/// A reply's body: the status, then what the handler adds.
inline constexpr std::size_t kGoodStatusBytes = 1;
void put_status(WireWriter& out, const Status& status);
Status get_status(WireReader& in);

}  // namespace holdfast
