// The conformance suite on every provider of this machine.
#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "holdfast/fabric/ofi.h"
#include "tests/devices.h"
#include "tests/fabric/conformance.h"

namespace holdfast::fabric::test {
namespace {

using holdfast::test::device_for;

class OfiWorld final : public World {
 public:
  explicit OfiWorld(std::vector<std::unique_ptr<Fabric>> fabrics) : fabrics_(std::move(fabrics)) {}
  Fabric& fabric() override { return *fabrics_.front(); }
  Fabric& fabric_of(std::size_t number) override { return *fabrics_[number % fabrics_.size()]; }
  const Clock& clock() override { return real_clock(); }
  // ofi_rxm over verbs stays with the broken queue pair (1.17).
  bool reconnects() override { return !fabric().info().rdma; }

 private:
  std::vector<std::unique_ptr<Fabric>> fabrics_;  // one, or one for each device of a test bed
};

WorldMaker ofi(std::string name, OfiOptions options) {
  return {std::move(name), [options]() -> Result<std::unique_ptr<World>> {
            std::vector<std::unique_ptr<Fabric>> fabrics;
            const bool spread = options.interface.empty() && !device_for(0).empty();
            for (std::size_t i = 0; i < (spread ? 2 : 1); ++i) {
              OfiOptions one = options;
              if (spread) one.interface = device_for(i);
              HOLDFAST_TRY(auto fabric, open_ofi(one));
              // A test bed may say what has to be chosen. Skipped there is failed.
              const char* const wanted = std::getenv("TESTBED_PROVIDER");
              if (wanted != nullptr && one.provider.empty() && fabric->info().provider != wanted)
                return fail(Code::unsupported, "open_ofi", fabric->info().provider + " was chosen");
              fabrics.push_back(std::move(fabric));
            }
            return std::make_unique<OfiWorld>(std::move(fabrics));
          }};
}

struct Choice {
  std::string name;
  OfiOptions options;
};

/// Run on every machine, or skipped with the reason.
std::vector<Choice> always() {
  return {{"chosen", {}},
          {"net", {.provider = "net"}},
          {"net_loopback", {.provider = "net", .interface = "lo"}},
          {"tcp_rxm", {.provider = "tcp;ofi_rxm"}},
          {"verbs", {.provider = "verbs;ofi_rxm"}}};
}

/// Those, and once each further provider among `candidates` that can be used.
std::vector<Choice> choices_for(const std::vector<OfiCandidate>& candidates) {
  std::vector<Choice> choices = always();
  for (const OfiCandidate& candidate : candidates) {
    const std::string& provider = candidate.info.provider;
    const auto is_there = [&](const Choice& choice) { return choice.options.provider == provider; };
    if (!candidate.usable || std::ranges::any_of(choices, is_there)) continue;
    std::string name = "found_" + provider;
    std::ranges::replace_if(
        name, [](unsigned char letter) { return std::isalnum(letter) == 0; }, '_');
    choices.push_back({std::move(name), {.provider = provider}});
  }
  return choices;
}

std::vector<WorldMaker> makers_for_this_machine() {
  static const Result<std::vector<OfiCandidate>> candidates = probe_ofi({});
  std::vector<WorldMaker> makers;
  for (Choice& choice : choices_for(candidates.value_or(std::vector<OfiCandidate>())))
    makers.push_back(ofi(std::move(choice.name), std::move(choice.options)));
  return makers;
}

OfiCandidate candidate(std::string provider, std::string domain, bool usable = true) {
  OfiCandidate made;
  made.info.provider = std::move(provider);
  made.info.domain = std::move(domain);
  made.usable = usable;
  return made;
}

TEST(OfiConformance, RunsOnceOnEachProviderThatCanBeUsed) {
  const auto choices =
      choices_for({candidate("a;b", "one"), candidate("a;b", "other"), candidate("net", "eth0"),
                   candidate("tcp", "eth0"), candidate("cxi", "", false)});
  std::vector<std::string> added;
  for (std::size_t i = always().size(); i < choices.size(); ++i)
    added.push_back(choices[i].name + ": " + choices[i].options.provider);
  EXPECT_EQ(added, (std::vector<std::string>{"found_a_b: a;b", "found_tcp: tcp"}));
}

}  // namespace
}  // namespace holdfast::fabric::test

HOLDFAST_FABRIC_CONFORMANCE(Ofi, testing::ValuesIn(makers_for_this_machine()))
