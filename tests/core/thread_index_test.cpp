#include "src/thread_index.h"

#include <algorithm>
#include <barrier>
#include <set>
#include <thread>
#include <vector>

#include "src/counters.h"
#include "tests/core/expect.h"

namespace holdfast::test {
namespace {

/// The numbers of `count` threads that live at once.
std::vector<std::uint32_t> of_threads_at_once(std::size_t count) {
  std::vector<std::uint32_t> indices(count);
  std::barrier all_have_one(static_cast<std::ptrdiff_t>(count));
  std::vector<std::thread> threads;
  for (std::uint32_t& index : indices)
    threads.emplace_back([&] {
      index = thread_index();
      all_have_one.arrive_and_wait();
    });
  for (std::thread& thread : threads) thread.join();
  std::ranges::sort(indices);
  return indices;
}

std::uint32_t of_another_thread() { return of_threads_at_once(1).front(); }

TEST(ThreadIndexTest, AThreadKeepsIts) {
  const std::uint32_t mine = thread_index();
  EXPECT_NE(of_another_thread(), mine);
  EXPECT_EQ(thread_index(), mine);
}

TEST(ThreadIndexTest, ThreadsThatLiveAtOnceHaveTheirOwn) {
  const auto indices = of_threads_at_once(40);
  EXPECT_EQ(std::set(indices.begin(), indices.end()).size(), 40U);
}

TEST(ThreadIndexTest, TheSmallestIsUsedAgainWhenItsThreadHasEnded) {
  (void)thread_index();
  const auto indices = of_threads_at_once(40);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(of_another_thread(), indices.front());
  EXPECT_EQ(of_threads_at_once(40), indices);
}

/// Asks when the thread that made it ends, after the number was given back.
struct AsksLate {
  std::uint32_t* answer = nullptr;
  ~AsksLate() {
    if (answer != nullptr) *answer = thread_index();
  }
};

TEST(ThreadIndexTest, AThreadThatIsEndingDoesNotPassForTheNextOne) {
  std::uint32_t while_alive = 0, at_the_end = 0;
  std::thread([&] {
    thread_local AsksLate asks;  // made before the number is taken, so destroyed after
    asks.answer = &at_the_end;
    while_alive = thread_index();
  }).join();
  EXPECT_EQ(of_another_thread(), while_alive);
  EXPECT_EQ(at_the_end, kEndingThread);
}

TEST(ThreadIndexTest, NothingIsLostOfWhatSuccessorsCount) {
  Counters counters;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { counters.add(Count::puts); });
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(counters.sum(Count::puts), 800U);
}

}  // namespace
}  // namespace holdfast::test
