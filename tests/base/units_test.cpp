#include "holdfast/base/units.h"

#include <gtest/gtest.h>

#include <map>

namespace holdfast {
namespace {

TEST(ParseBytes, TakesNumbersWithUnits) {
  const std::map<std::string_view, std::uint64_t> cases = {
      {"0", 0},        {"4096", 4096},       {"17 B", 17},    {"64k", 64_KiB},
      {"1KB", 1_KiB},  {"512 MiB", 512_MiB}, {"4GiB", 4_GiB}, {"1.5G", 1536_MiB},
      {"2TiB", 2_TiB}, {" 1m ", 1_MiB},      {"1gib", 1_GiB}, {"0.5KiB", 512},
  };
  for (const auto& [text, bytes] : cases) {
    const auto parsed = parse_bytes(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message();
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(ParseBytes, RefusesWhatIsNoSize) {
  for (const std::string_view text : {"", " ", "-1", "GiB", "1X", "1GiBs", "1 G i B", "1e3", "0x10", "nan",
                                      "inf", "1,5G", "1BiB", "1Bs", "99999999TiB", "9223372036854775808"}) {
    const auto parsed = parse_bytes(text);
    ASSERT_FALSE(parsed) << text << " gave " << *parsed;
    EXPECT_EQ(parsed.error().code, Code::invalid) << text;
    EXPECT_NE(parsed.error().detail.find("4GiB"), std::string::npos)
        << "shows how: " << parsed.error().detail;
  }
}

TEST(FormatBytes, HasAtMostFourDigitsAndTheLargestUnitThatFits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(17), "17 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1 KiB");
  EXPECT_EQ(format_bytes(1536_KiB), "1.5 MiB");
  EXPECT_EQ(format_bytes(4_GiB), "4 GiB");
  EXPECT_EQ(format_bytes(~0ULL), "16 EiB");
}

TEST(FormatBytes, WhatItPrintsCanBeParsed) {
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1}, 64_KiB, 1536_KiB, 4_GiB, 3_TiB})
    EXPECT_EQ(*parse_bytes(format_bytes(bytes)), bytes);
}

TEST(Align, RoundsToMultiples) {
  static_assert(align_up(0, 64) == 0 && align_up(1, 64) == 64 && align_up(64, 64) == 64 &&
                align_up(65, 64) == 128);
  static_assert(align_down(63, 64) == 0 && align_down(64, 64) == 64 && align_down(127, 64) == 64);
  EXPECT_EQ(align_up(5_GiB + 1, 2_MiB), 5_GiB + 2_MiB);
}

}  // namespace
}  // namespace holdfast
