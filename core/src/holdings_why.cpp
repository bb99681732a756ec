// What an owner knows of one object, for people.
#include <fmt/format.h>

#include "holdfast/base/units.h"
#include "src/holdings.h"

namespace holdfast {
namespace {

// Of pins, of holders and of tokens each: the text goes into one message (see fitting), and its last line,
// what comes of it all, is to be among what fits.
constexpr std::size_t kMostLines = 12;

std::string seconds(Duration duration) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(duration).count());
}

}  // namespace

std::string Holdings::why(const ObjectId& id) const {
  const std::lock_guard lock(mutex_);
  const auto slot = catalogue_.slot_of(Key::of(id));
  if (!slot) {
    if (const auto promised = promised_.find(id); promised != promised_.end())
      return fmt::format("object {}: promised by rank {}, not sealed yet; {} references in its own process\n",
                         id.to_hex(), rank_.value, promised->second);
    return fmt::format("object {}: not there; rank {} has erased it, evicted it, or never sealed it\n",
                       id.to_hex(), rank_.value);
  }
  const Entry entry = catalogue_.read(*slot);
  const Record& record = records_[*slot];
  std::string text =
      fmt::format("object {}: {} of rank {}\n", id.to_hex(), format_bytes(entry.layout.size), rank_.value);
  const auto add = [&text](std::string_view what, const std::string& value) {
    text += fmt::format("  {:<12}{}\n", what, value);
  };
  const auto add_some = [&add](std::string_view what, const auto& all, std::string_view kind, auto&& say) {
    std::size_t lines = 0;
    for (const auto& one : all) {
      if (++lines > kMostLines) break;
      add(what, say(one));
    }
    if (all.size() > kMostLines) add("", fmt::format("and {} {} more", all.size() - kMostLines, kind));
  };
  const numa::NodeId node = memory_->arena().segments()[record.segment].node;
  const std::string at =
      fmt::format("in memory of node {}, at offset {} of the arena", node.value, entry.location);
  using Place = Record::Place;
  add("where", record.place == Place::memory    ? at
               : record.place == Place::leaving ? at + ", being written to disk"
               : record.place == Place::disk    ? std::string("on disk")
                                                : std::string("on disk, being brought back"));
  if (record.spills != 0)
    add("spilled", fmt::format("{} times{}", record.spills, record.copy != 0 ? "; the disk has a copy" : ""));

  std::vector<std::string> pins;
  if (!entry.on_disk()) pins = neighbours_.pinning({rank_, entry.location});
  add_some("pinned by", pins, "processes", [](const std::string& process) { return process; });

  if (record.name == Record::Name::keeps) add("kept by", "its name");
  if (record.name == Record::Name::lost) add("had", "a name, whose home cannot be reached any more");
  if (record.handles > 0) add("kept by", fmt::format("{} references of its own process", record.handles));
  const TimePoint now = clock_.now();
  if (const Holders::Kept* const kept = holders_.find(id)) {
    add_some("kept by", kept->holders, "ranks", [now](const Holders::Holder& holder) {
      // Its copies of a reference are counted there; here, how often it has asked.
      const std::size_t holds = 1 + holder.others.size();
      return fmt::format("references of rank {}, for {}{}", holder.member.value, seconds(now - holder.since),
                         holds == 1 ? "" : fmt::format(", asked for {} times", holds));
    });
    add_some("kept by", kept->tokens, "tokens", [now](const Holders::Token& token) {
      return fmt::format("a token that rank {} made, for {} more", token.id.maker.value,
                         seconds(std::max(token.expires - now, Duration::zero())));
    });
  }
  if (const auto parts = parts_.find(id); parts != parts_.end())
    add("keeps", fmt::format("{} objects that are its parts", parts->second.size()));

  add("so", !pins.empty()             ? "it stays where it is until the pins are released"
            : !this->kept(id, record) ? "it is evicted when room is needed"
            : entry.on_disk()         ? "it comes back when somebody gets it"
            : !kept_ ? "it stays in memory: there is no directory to spill to (HOLDFAST_SPILL)"
            : !disk_refuses_.empty()
                ? "it stays in memory: " + disk_refuses_
                : std::string("it is written to disk when it is among the coldest and memory is short"));
  return text;
}

}  // namespace holdfast
