// The manual's table of variables, against the program.
#include "holdfast/options.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "holdfast/base/environment.h"
#include "tests/core/expect.h"

namespace holdfast::test {
namespace {

/// The column of defaults by variable, as it stands there.
std::map<std::string, std::string> defaults_of_manual() {
  std::map<std::string, std::string> defaults;
  std::ifstream manual(CONFIGURATION_MANUAL);
  constexpr std::string_view kStart = "| `HOLDFAST_", kBetween = " | ";
  for (std::string line; std::getline(manual, line);) {
    if (!line.starts_with(kStart)) continue;
    const std::size_t name_end = line.find('`', kStart.size());
    const std::size_t cell = line.find(kBetween, name_end) + kBetween.size();
    defaults[line.substr(3, name_end - 3)] = line.substr(cell, line.find(kBetween, cell) - cell);
  }
  return defaults;
}

TEST(OptionsTest, TheDefaultsOfTheManualAreThoseOfTheProgram) {
  const auto defaults = defaults_of_manual();
  std::vector<std::string> set;
  for (const auto& [name, value] : defaults) {
    EXPECT_FALSE(value.empty()) << name;
    // In words, or not of this version: that is told elsewhere.
    if (!value.starts_with('`') ||
        std::ranges::find(known_variables(), name, &VariableInfo::name) == known_variables().end())
      continue;
    ASSERT_EQ(setenv(name.c_str(), value.substr(1, value.size() - 2).c_str(), 1), 0);
    set.push_back(name);
  }
  EXPECT_GE(set.size(), 12U) << "has the table changed its form?";
  const auto options = StoreOptions::from_environment();
  for (const std::string& name : set) unsetenv(name.c_str());
  ASSERT_TRUE(good(options));
  const StoreOptions expected;
  EXPECT_EQ(options->arena.bytes, expected.arena.bytes);
  EXPECT_EQ(options->arena.pages.largest, expected.arena.pages.largest);
  EXPECT_EQ(options->arena.pages.demand, expected.arena.pages.demand);
  EXPECT_EQ(options->same_host, expected.same_host);
  EXPECT_EQ(options->verify, expected.verify);
  EXPECT_EQ(options->open_timeout, expected.open_timeout);
  EXPECT_EQ(options->placement, expected.placement);
  EXPECT_EQ(options->lifetime.collect, expected.lifetime.collect);
  EXPECT_EQ(options->lifetime.eviction, expected.lifetime.eviction);
  EXPECT_EQ(options->lifetime.token_lifetime, expected.lifetime.token_lifetime);
  EXPECT_EQ(options->lifetime.member_timeout, expected.lifetime.member_timeout);
  EXPECT_EQ(options->lifetime.spill.above_percent, expected.lifetime.spill.above_percent);
}

}  // namespace
}  // namespace holdfast::test
