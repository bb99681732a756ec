#include "holdfast/base/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace holdfast {
namespace {

Result<Environment> parse(std::initializer_list<std::string_view> assignments) {
  return Environment::parse(std::vector<std::string_view>(assignments));
}

TEST(Environment, GivesWhatIsSet) {
  const auto environment = parse({"HOLDFAST_ARENA=4GiB", "HOLDFAST_LOG=a=b", "PATH=/bin"});
  ASSERT_TRUE(environment);
  EXPECT_EQ(environment->get(Variable::arena), "4GiB");
  EXPECT_EQ(environment->get(Variable::log), "a=b");
  EXPECT_FALSE(environment->get(Variable::rank));
}

TEST(Environment, EmptyCountsAsUnset) {
  const auto environment = parse({"HOLDFAST_ARENA=", "HOLDFAST_LOG"});
  ASSERT_TRUE(environment);
  EXPECT_FALSE(environment->get(Variable::arena));
  EXPECT_FALSE(environment->get(Variable::log));
}

TEST(Environment, AnUnknownVariableIsAnErrorThatSuggestsTheNearest) {
  for (const auto& [wrong, right] : {std::pair{"HOLDFAST_ARENAS=1", "did you mean HOLDFAST_ARENA "},
                                     {"HOLDFAST_PROVDER=net", "did you mean HOLDFAST_PROVIDER "},
                                     {"HOLDFAST_LOGS=1", "did you mean HOLDFAST_LOG "},
                                     {"HOLDFAST_arena=1", "HOLDFAST_arena"},
                                     {"HOLDFAST_=1", "unknown variable HOLDFAST_;"}}) {
    const auto environment = parse({wrong});
    ASSERT_FALSE(environment) << wrong;
    EXPECT_EQ(environment.error().code, Code::invalid);
    EXPECT_NE(environment.error().detail.find(right), std::string::npos) << environment.error().detail;
  }
}

TEST(Environment, OthersVariablesArePassedOver) {
  EXPECT_TRUE(parse({"HOLDFASTER=1", "holdfast_arena=1", "MY_HOLDFAST_ARENA=1", "", "="}));
}

TEST(Environment, ReadsThisProcess) {
  ASSERT_EQ(::setenv("HOLDFAST_JOB", "environment-test", 1), 0);
  const auto environment = Environment::read();
  ::unsetenv("HOLDFAST_JOB");
  ASSERT_TRUE(environment) << environment.error().message();
  EXPECT_EQ(environment->get(Variable::job), "environment-test");
}

TEST(Environment, TheTableIsInTheOrderOfTheEnum) {
  std::set<std::string_view> names;
  std::size_t index = 0;
  for (const VariableInfo& info : known_variables()) {
    EXPECT_EQ(static_cast<std::size_t>(info.variable), index++);
    EXPECT_TRUE(info.name.starts_with("HOLDFAST_")) << info.name;
    EXPECT_FALSE(info.meaning.empty()) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
  }
}

}  // namespace
}  // namespace holdfast
