#include "src/card.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <unordered_map>

#include "holdfast/version.h"
#include "src/wire.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kCardMagic = 0x6472616320666c68;  // "hlf card"
constexpr std::uint32_t kMostRegions = 4096;

}  // namespace

std::string Card::encode() const {
  WireWriter out;
  out.put(kCardMagic);
  out.put(kProtocolVersion);
  out.put_text(version);
  out.put_text(provider);
  out.put_text(protocol);
  out.put_text(host);
  out.put_text(host_name);
  out.put(pid);
  out.put(incarnation);
  out.put_bytes(address);
  out.put_text(host_socket);
  out.put(static_cast<std::uint8_t>(spills));
  out.put_text(fallbacks);
  out.put(arena_bytes);
  out.put(catalogue_at);
  out.put(catalogue.buckets);
  out.put(static_cast<std::uint32_t>(keys.size()));
  for (const RegionKey& region : keys) {
    out.put(region.first);
    out.put(region.memory.base);
    out.put(region.memory.key);
    out.put(region.memory.bytes);
  }
  const auto bytes = out.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Card> Card::decode(std::string_view text) {
  WireReader in(std::as_bytes(std::span(text)));
  if (in.get<std::uint64_t>() != kCardMagic)
    return fail(Code::invalid, "Card::decode", "these bytes are not a Holdfast member's card");
  const auto protocol_version = in.get<std::uint32_t>();
  Card card;
  card.version = in.get_text();
  if (protocol_version != kProtocolVersion)
    return fail(
        Code::unsupported, "Card::decode",
        fmt::format(
            "the member runs Holdfast {} (protocol {}), this one {} (protocol {}); start all ranks with "
            "the same version",
            card.version, protocol_version, holdfast::version(), kProtocolVersion));
  card.provider = in.get_text();
  card.protocol = in.get_text();
  card.host = in.get_text();
  card.host_name = in.get_text();
  card.pid = in.get<std::uint32_t>();
  card.incarnation = in.get<std::uint64_t>();
  const auto address = in.get_bytes();
  card.address.assign(address.begin(), address.end());
  card.host_socket = in.get_text();
  card.spills = in.get<std::uint8_t>() != 0;
  card.fallbacks = in.get_text();
  card.arena_bytes = in.get<std::uint64_t>();
  card.catalogue_at = in.get<std::uint64_t>();
  card.catalogue.buckets = in.get<std::uint64_t>();
  const auto regions = in.get<std::uint32_t>();
  if (regions > kMostRegions) return fail(Code::invalid, "Card::decode", "a member's card is damaged");
  for (std::uint32_t i = 0; i < regions; ++i) {
    RegionKey region;
    region.first = in.get<std::uint64_t>();
    region.memory.base = in.get<std::uint64_t>();
    region.memory.key = in.get<std::uint64_t>();
    region.memory.bytes = in.get<std::uint64_t>();
    card.keys.push_back(region);
  }
  if (!in.ok() || !in.at_end() || card.incarnation == 0 || card.catalogue.buckets == 0)
    return fail(Code::invalid, "Card::decode", "a member's card is damaged");
  return card;
}

std::string this_host() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  struct stat network {};
  if (stat("/proc/self/ns/net", &network) != 0) network.st_ino = 0;
  return fmt::format("{}/{}/{}", boot, network.st_ino, geteuid());
}

Status check_cards(std::span<const Card> cards) {
  std::unordered_map<std::uint64_t, std::size_t> incarnations;
  for (std::size_t rank = 0; rank < cards.size(); ++rank) {
    const Card &first = cards.front(), &card = cards[rank];
    if (card.provider != first.provider || card.protocol != first.protocol)
      return fail(
          Code::unsupported, "Store::open",
          fmt::format("rank 0 on {} uses provider {} ({}), rank {} on {} uses {} ({}); they cannot talk: set "
                      "HOLDFAST_PROVIDER to one that all hosts have (holdfast doctor lists them)",
                      first.host_name, first.provider, first.protocol, rank, card.host_name, card.provider,
                      card.protocol));
    const auto [other, is_new] = incarnations.emplace(card.incarnation, rank);
    if (!is_new)
      return fail(
          Code::invalid, "Store::open",
          fmt::format("ranks {} and {} have the same card; was a rank started twice?", other->second, rank));
  }
  return {};
}

}  // namespace holdfast
