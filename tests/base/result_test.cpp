#include "holdfast/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace holdfast {
namespace {

Result<std::unique_ptr<int>> make(int value) {
  if (value < 0) return fail(Code::invalid, "make", "negative");
  return std::make_unique<int>(value);
}

Result<int> sum_of(int a, int b) {
  HOLDFAST_TRY(const std::unique_ptr<int> first, make(a));
  HOLDFAST_TRY(auto second, make(b));
  return *first + *second;
}

Status all_positive(std::initializer_list<int> values, int& looked_at) {
  for (const int value : values) {
    ++looked_at;
    HOLDFAST_DO(make(value));
  }
  return {};
}

TEST(Result, TryGivesTheValueOrReturnsTheError) {
  EXPECT_EQ(*sum_of(2, 3), 5);
  const auto failed = sum_of(2, -3);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), (Error{Code::invalid, "make", "negative"}));
}

TEST(Result, DoStopsAtTheFirstError) {
  int looked_at = 0;
  EXPECT_TRUE(all_positive({1, 2, 3}, looked_at));
  EXPECT_EQ(looked_at, 3);
  looked_at = 0;
  EXPECT_FALSE(all_positive({1, -2, 3}, looked_at));
  EXPECT_EQ(looked_at, 2);
}

TEST(Result, TryEvaluatesItsExpressionOnce) {
  int calls = 0;
  const auto count = [&]() -> Result<int> { return ++calls; };
  const auto user = [&]() -> Result<int> {
    HOLDFAST_TRY(const int value, count());
    return value;
  };
  EXPECT_EQ(*user(), 1);
  EXPECT_EQ(calls, 1);
}

TEST(Error, MessageSaysOperationCodeAndDetail) {
  EXPECT_EQ((Error{Code::not_found, "Store::get", "no such name"}).message(),
            "Store::get: not_found: no such name");
  EXPECT_EQ((Error{Code::full, "Store::put", ""}).message(), "Store::put: full");
}

TEST(Error, EveryCodeHasAName) {
  for (int code = 0; code <= static_cast<int>(Code::system); ++code)
    EXPECT_NE(to_string(static_cast<Code>(code)), "unknown") << code;
  EXPECT_EQ(to_string(Code::timed_out), "timed_out");
}

TEST(Error, ErrnoIsDeniedWherePermissionIsMissing) {
  EXPECT_EQ(fail_errno(EPERM, "open", "").value().code, Code::denied);
  EXPECT_EQ(fail_errno(EACCES, "open", "").value().code, Code::denied);
  const Error error = fail_errno(ENOENT, "open", "the file").value();
  EXPECT_EQ(error.code, Code::system);
  EXPECT_EQ(error.detail, "the file: No such file or directory");
}

}  // namespace
}  // namespace holdfast
