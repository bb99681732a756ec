#include "bench/prefault_wait.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <vector>

#include "holdfast/base/units.h"
#include "numa/src/prefault.h"
#include "tests/core/expect.h"

namespace holdfast::bench {
namespace {

using namespace std::chrono_literals;
using numa::SegmentReport;
using test::fails;

constexpr std::uint64_t kBytes = 1_MiB;
constexpr std::chrono::steady_clock::time_point kStart{1h};

SegmentReport segment(std::uint64_t prefaulted, std::string note = {}) {
  return {numa::NodeId{0}, kBytes, numa::Pages::base, true, prefaulted, std::move(note)};
}

testing::AssertionResult goes_on(const Result<bool>& looked) {
  return looked && !*looked ? testing::AssertionSuccess() : testing::AssertionFailure() << "it has ended";
}
testing::AssertionResult is_over(const Result<bool>& looked) {
  return looked && *looked ? testing::AssertionSuccess()
                           : testing::AssertionFailure() << "goes on, or failed";
}

TEST(PrefaultWaitTest, LastsUntilAllIsThereWhateverTheNotes) {
  PrefaultWait wait;
  EXPECT_TRUE(goes_on(wait.look(std::array{segment(kBytes), segment(0, "no 2MiB pages")}, kStart)));
  EXPECT_TRUE(
      is_over(wait.look(std::array{segment(kBytes), segment(kBytes, "no 2MiB pages")}, kStart + 1ms)));
}

TEST(PrefaultWaitTest, LastsAsLongAsSomethingMoves) {
  PrefaultWait wait;
  auto now = kStart;
  for (std::uint64_t done = 0; done < kBytes; done += 4096, now += PrefaultWait::kPatience - 1ms)
    ASSERT_TRUE(goes_on(wait.look(std::array{segment(done)}, now)));
  EXPECT_TRUE(is_over(wait.look(std::array{segment(kBytes)}, now)));
}

TEST(PrefaultWaitTest, EndsWhereNothingMoves) {
  PrefaultWait wait;
  EXPECT_TRUE(goes_on(wait.look(std::array{segment(4096)}, kStart)));
  EXPECT_TRUE(goes_on(wait.look(std::array{segment(4096)}, kStart + PrefaultWait::kPatience - 1ms)));
  const auto looked = wait.look(std::array{segment(4096)}, kStart + PrefaultWait::kPatience);
  EXPECT_TRUE(fails(looked, Code::full, "nothing has moved for 2 s"));
}

TEST(PrefaultWaitTest, EndsWithTheReasonWherePrefaultingDid) {
  std::vector<std::byte> memory(kBytes);
  numa::PrefaultPart part;
  part.base = memory.data();
  part.bytes = kBytes;
  part.cpus = {0};
  numa::PrefaultOptions options;
  options.keep_free_bytes = std::numeric_limits<std::uint64_t>::max() / 2;
  numa::Prefault prefault({part}, options, numa::SystemFiles());
  prefault.wait();
  const SegmentReport report = segment(prefault.bytes_done(0), prefault.note(0));
  const auto looked = PrefaultWait().look(std::array{segment(kBytes), report}, kStart);
  EXPECT_TRUE(fails(looked, Code::full, "skipped: only 0 B of 1 MiB on node 0 are prefaulted"));
  EXPECT_TRUE(fails(looked, Code::full, "use a smaller arena"));
}

}  // namespace
}  // namespace holdfast::bench
