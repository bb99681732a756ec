#include "holdfast/base/log.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { set_log_level(LogLevel::warning); }
  static std::string printed(LogLevel level, std::string_view text) {
    ::testing::internal::CaptureStderr();
    log(level, text);
    return ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, WarningsArePrintedUntilALevelIsSet) {
  EXPECT_EQ(log_level(), LogLevel::warning);
  EXPECT_NE(printed(LogLevel::warning, "look out").find("look out"), std::string::npos);
  EXPECT_EQ(printed(LogLevel::info, "by the way"), "");
}

TEST_F(LogTest, TheLevelIsTheLeastThatIsPrinted) {
  constexpr LogLevel kLevels[] = {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error};
  for (const LogLevel least :
       {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error, LogLevel::off}) {
    set_log_level(least);
    EXPECT_EQ(log_level(), least);
    for (const LogLevel level : kLevels) EXPECT_EQ(!printed(level, "line").empty(), level >= least);
  }
}

TEST_F(LogTest, ALineIsOneLineAndTextIsNoFormat) {
  const std::string line = printed(LogLevel::error, "100% {} %v done");
  EXPECT_NE(line.find("100% {} %v done"), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST_F(LogTest, ThePrefixStandsBeforeTheText) {
  set_log_prefix("rank 3 of 100%");
  const std::string line = printed(LogLevel::error, "text");
  const std::size_t prefix = line.find("rank 3 of 100%");
  ASSERT_NE(prefix, std::string::npos) << line;
  EXPECT_LT(prefix, line.find("text"));
}

TEST_F(LogTest, LevelsAreParsedByName) {
  EXPECT_EQ(*parse_log_level("debug"), LogLevel::debug);
  EXPECT_EQ(*parse_log_level("info"), LogLevel::info);
  EXPECT_EQ(*parse_log_level("warning"), LogLevel::warning);
  EXPECT_EQ(*parse_log_level("error"), LogLevel::error);
  EXPECT_EQ(*parse_log_level("off"), LogLevel::off);
  for (const std::string_view wrong : {"", "warn", "DEBUG", "debug ", "3"}) {
    const auto level = parse_log_level(wrong);
    ASSERT_FALSE(level) << wrong;
    EXPECT_EQ(level.error().code, Code::invalid);
  }
}

}  // namespace
}  // namespace holdfast
