#include "holdfast/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace holdfast {
namespace {

Result<std::uint64_t> parse_number(std::string_view text, std::string_view variable) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::invalid, "StoreOptions::from_environment",
                fmt::format("{}=\"{}\" is not a whole number", variable, text));
  return number;
}

/// Names the variable in the error of a parser that knows only its text.
template <class T>
Result<T> said_by(std::string_view variable, Result<T> parsed) {
  if (!parsed) parsed.error().detail = fmt::format("{}: {}", variable, parsed.error().detail);
  return parsed;
}

Result<std::vector<numa::NodeId>> parse_nodes(std::string_view text) {
  std::vector<numa::NodeId> nodes;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    HOLDFAST_TRY(const std::uint64_t node, parse_number(text.substr(0, comma), "HOLDFAST_NODES"));
    if (node > std::numeric_limits<std::uint32_t>::max())
      return fail(Code::invalid, "StoreOptions::from_environment",
                  fmt::format("HOLDFAST_NODES: there is no node {}", node));
    nodes.push_back({static_cast<std::uint32_t>(node)});
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return nodes;
}

std::vector<std::string> parse_paths(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const auto colon = std::min(text.find(':'), text.size());
    if (colon != 0) paths.emplace_back(text.substr(0, colon));
    text.remove_prefix(std::min(colon + 1, text.size()));
  }
  return paths;
}

/// One of a few words.
template <class Enum, std::size_t N>
Result<Enum> parse_word(std::string_view text, std::string_view variable,
                        const std::pair<std::string_view, Enum> (&words)[N]) {
  std::string known;
  for (const auto& [word, value] : words) {
    if (word == text) return value;
    known += known.empty() ? "" : ", ";
    known += word;
  }
  return fail(Code::invalid, "StoreOptions::from_environment",
              fmt::format("{}=\"{}\" is not known; choose one of: {}", variable, text, known));
}

}  // namespace

Result<StoreOptions> StoreOptions::from_environment() { return from_environment(StoreOptions{}); }

Result<StoreOptions> StoreOptions::from_environment(StoreOptions options) {
  HOLDFAST_TRY(const Environment environment, Environment::read());
  if (const auto text = environment.get(Variable::arena)) {
    HOLDFAST_TRY(options.arena.bytes, said_by("HOLDFAST_ARENA", parse_bytes(*text)));
  }
  if (const auto text = environment.get(Variable::catalogue)) {
    HOLDFAST_TRY(options.catalogue_entries, parse_number(*text, "HOLDFAST_CATALOGUE"));
  }
  if (const auto text = environment.get(Variable::pages)) {
    HOLDFAST_TRY(options.arena.pages, said_by("HOLDFAST_PAGES", numa::PagePolicy::parse(*text)));
  }
  if (const auto text = environment.get(Variable::nodes)) {
    HOLDFAST_TRY(options.arena.nodes, parse_nodes(*text));
  }
  if (const auto text = environment.get(Variable::provider)) options.provider = *text;
  if (const auto text = environment.get(Variable::interface)) options.interface = *text;
  if (const auto text = environment.get(Variable::same_host)) {
    HOLDFAST_TRY(options.same_host,
                 parse_word<SameHost>(*text, "HOLDFAST_SAME_HOST",
                                      {{"memory", SameHost::memory}, {"fabric", SameHost::fabric}}));
  }
  if (const auto text = environment.get(Variable::verify)) {
    HOLDFAST_TRY(options.verify,
                 parse_word<Verify>(
                     *text, "HOLDFAST_VERIFY",
                     {{"always", Verify::always}, {"remote", Verify::remote}, {"never", Verify::never}}));
  }
  if (const auto text = environment.get(Variable::open_timeout)) {
    HOLDFAST_TRY(const std::uint64_t seconds, parse_number(*text, "HOLDFAST_OPEN_TIMEOUT"));
    options.open_timeout = std::chrono::seconds(std::min<std::uint64_t>(seconds, 1ULL << 31));
  }
  if (const auto text = environment.get(Variable::placement)) {
    HOLDFAST_TRY(options.placement,
                 parse_word<Placement>(*text, "HOLDFAST_PLACEMENT",
                                       {{"local", Placement::local}, {"interleave", Placement::interleave}}));
  }
  if (const auto text = environment.get(Variable::collect)) {
    HOLDFAST_TRY(
        options.lifetime.collect,
        parse_word<Collect>(*text, "HOLDFAST_COLLECT", {{"lazy", Collect::lazy}, {"eager", Collect::eager}}));
  }
  if (const auto text = environment.get(Variable::eviction)) {
    HOLDFAST_TRY(options.lifetime.eviction,
                 parse_word<Eviction>(*text, "HOLDFAST_EVICTION",
                                      {{"lru", Eviction::lru}, {"s3_fifo", Eviction::s3_fifo}}));
  }
  if (const auto text = environment.get(Variable::token_lifetime)) {
    HOLDFAST_TRY(const std::uint64_t seconds, parse_number(*text, "HOLDFAST_TOKEN_LIFETIME"));
    options.lifetime.token_lifetime = std::chrono::seconds(std::min<std::uint64_t>(seconds, 1ULL << 31));
  }
  if (const auto text = environment.get(Variable::member_timeout)) {
    HOLDFAST_TRY(const std::uint64_t seconds, parse_number(*text, "HOLDFAST_MEMBER_TIMEOUT"));
    options.lifetime.member_timeout = std::chrono::seconds(std::min<std::uint64_t>(seconds, 1ULL << 31));
  }
  if (const auto text = environment.get(Variable::spill))
    options.lifetime.spill.directories = parse_paths(*text);
  if (const auto text = environment.get(Variable::spill_above)) {
    HOLDFAST_TRY(const std::uint64_t percent, parse_number(*text, "HOLDFAST_SPILL_ABOVE"));
    options.lifetime.spill.above_percent = static_cast<std::uint32_t>(std::min<std::uint64_t>(percent, 1000));
  }
  return options;
}

}  // namespace holdfast
