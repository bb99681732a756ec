// A host that is cut off, comes back, or is gone; a member that is killed. Every call ends by its deadline
// with an error that says what is known; what is got is right; who is not concerned works on.
#include <signal.h>

#include <map>
#include <utility>

#include "tests/testbed/job.h"

namespace holdfast::test {
namespace {

/// What a call may take beyond its deadline. It takes milliseconds: what ends it is a timer of the thread
/// that waits. The rest is for a machine that does much else and lets that thread wait, and for an emulated
/// one, which is eleven times slower and runs all ranks on two processors of the machine outside.
Duration slack() { return emulated() ? 10s : 5s; }

/// Within what a killed member is known to be lost. Its host is asked after 500 ms of silence and answers at
/// once; the same allowances as above, for several steps. Far below the deadline of the get, which is kLong.
Duration at_once() { return emulated() ? 20s : 5s; }

constexpr std::uint64_t kSmall = 4096, kLarge = 16 << 20;

/// What everybody knows of rank `owner`'s objects.
struct Known {
  ObjectRef small, large;
};

void put_own(Store& store) {
  const std::uint32_t me = store.rank();
  ASSERT_TRUE(good(store.put(name_at(store, 0, fmt::format("small {}", me)), pattern(kSmall, me))));
  ASSERT_TRUE(good(store.put(name_at(store, 0, fmt::format("large {}", me)), pattern(kLarge, me))));
}

Known look_up(Store& store, std::uint32_t owner) {
  Known known;
  const auto small = store.lookup(name_at(store, 0, fmt::format("small {}", owner)), kLong);
  const auto large = store.lookup(name_at(store, 0, fmt::format("large {}", owner)), kLong);
  EXPECT_TRUE(good(small) && good(large));
  if (small && large) known = {*small, *large};
  return known;
}

bool right(const Result<Pin>& pin, std::uint64_t size, std::uint64_t seed) {
  return pin && pin->size() == size && is_pattern(pin->bytes(), seed);
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

/// Says how long a call that failed took beyond its deadline, and expects it to be little.
void expect_in_time(const char* what, Duration took, Duration deadline, const Error& error) {
  fmt::print("{}: {} {:+.3f} s from its deadline of {} s\n", what, to_string(error.code),
             seconds(took - deadline), seconds(deadline));
  EXPECT_LT(took, deadline + slack()) << what;
}

/// Runs a call that must end by its deadline, with one of the errors of a member out of reach.
template <class Call>
void expect_unreachable(const char* what, Code code, Duration soon, Call call) {
  const TimePoint start = real_clock().now();
  const auto result = call();
  const Duration took = real_clock().now() - start;
  ASSERT_FALSE(result) << what;
  expect_in_time(what, took, soon, result.error());
  EXPECT_TRUE(result.error().code == code ||
              (code == Code::timed_out && result.error().code == Code::owner_lost))
      << what << ": " << result.error().message();
  EXPECT_NE(result.error().message().find("rank"), std::string::npos)
      << what << " does not say who: " << result.error().message();
}

/// Every kind of call that needs `owner`. `code`: timed_out where nothing can be known, owner_lost where it
/// is.
void expect_all_unreachable(Store& store, std::uint32_t owner, const Known& known, Code code, Duration soon) {
  std::vector<std::byte> buffer(kLarge);
  expect_unreachable("get small", code, soon, [&] { return store.get(known.small, soon); });
  expect_unreachable("get large", code, soon, [&] { return store.get(known.large, soon); });
  expect_unreachable("get_into", code, soon, [&] { return store.get_into(known.large, buffer, soon); });
  expect_unreachable("get_many", code, soon, [&] {
    return std::move(store.get_many(std::vector{known.small, known.large}, soon).front());
  });
  expect_unreachable("fetch", code, soon,
                     [&] { return store.fetch(known.small, {.timeout = soon}).wait(soon * 2); });
  expect_unreachable("put at a home", code, soon, [&] {
    return store.put(name_at(store, owner, "lost put"), pattern(10, 1), {.timeout = soon});
  });
  expect_unreachable("lookup", code, soon,
                     [&] { return store.lookup(name_at(store, owner, "unknown"), soon); });
}

/// Gets without a pause until one fails; each that does not is right.
Error get_until_it_fails(Store& store, std::uint32_t owner, const Known& known, Control& control,
                         Duration soon) {
  std::vector<std::byte> buffer(kLarge);
  std::uint64_t gets = 0;
  for (;; ++gets) {
    if (gets == 3) control.say("getting");
    for (const auto& [ref, size] : {std::pair{known.large, kLarge}, std::pair{known.small, kSmall}}) {
      const TimePoint start = real_clock().now();
      const auto pin = store.get(ref, soon);
      const Duration took = real_clock().now() - start;
      if (!pin) {
        expect_in_time("the get that was cut", took, soon, pin.error());
        return pin.error();
      }
      EXPECT_LT(took, soon + slack());
      EXPECT_TRUE(right(pin, size, owner)) << "wrong bytes";
    }
  }
}

void expect_works_again(Store& store, std::uint32_t owner, const Known& known) {
  const auto small = store.get(known.small, kLong), large = store.get(known.large, kLong);
  EXPECT_TRUE(good(small) && good(large));
  EXPECT_TRUE(right(small, kSmall, owner) && right(large, kLarge, owner));
  const Name later = name_at(store, owner, fmt::format("later, by {}", store.rank()));
  EXPECT_TRUE(good(store.put(later, pattern(10, 1), {.timeout = kLong})));
  EXPECT_TRUE(right(store.get(later, kLong), 10, 1));
  const Deadline end = Deadline::after(real_clock(), kLong);
  while (store.stats().quarantined != 0 && !end.passed(real_clock())) {
    // Whoever reads drives the endpoint that the late bytes come to.
    EXPECT_TRUE(right(store.get(known.small, kLong), kSmall, owner));
  }
  EXPECT_EQ(store.stats().quarantined, 0U) << "buffers of the reads that were cut are free again";
}

/// What the others of run_cut do, whose gets rank 0 does not make: each gets from all once the link is
/// healed.
void bystand(Store& store, Control& control, bool is_victim, Duration soon) {
  std::map<std::uint32_t, Known> others;
  for (std::uint32_t rank = 0; rank < store.size(); ++rank)
    if (rank != store.rank()) others[rank] = look_up(store, rank);
  control.say("ready");
  std::string told = control.hear();
  if (is_victim && told == "cut off") {
    // It sees the same from its side: everybody else is silent.
    expect_unreachable("get from the cut host", Code::timed_out, soon,
                       [&] { return store.get(others[0].large, soon); });
    control.say("timed out");
    told = control.hear();
  }
  if (told == "healed") {
    for (const auto& [rank, known] : others) expect_works_again(store, rank, known);
    EXPECT_TRUE(good(store.barrier(kLong))) << "all are together again";
    control.say("works again");
    told = control.hear();
  }
  EXPECT_EQ(told, "end");
}

}  // namespace

void run_cut(Store& store, const JobOptions& options) {
  ASSERT_EQ(store.size(), 3U);
  constexpr std::uint32_t kVictim = 1, kOther = 2;
  Control control(options.control, store.rank());
  const Duration soon = options.deadline;
  put_own(store);
  ASSERT_TRUE(good(store.barrier(kLong)));
  if (store.rank() != 0) return bystand(store, control, store.rank() == kVictim, soon);
  const Known victim = look_up(store, kVictim), other = look_up(store, kOther);
  EXPECT_TRUE(right(store.get(other.small, kLong), kSmall, kOther));
  control.expect("start");
  const Error error = get_until_it_fails(store, kVictim, victim, control, soon);
  EXPECT_TRUE(error.code == Code::timed_out || error.code == Code::owner_lost) << error.message();
  expect_all_unreachable(store, kVictim, victim, Code::timed_out, soon);
  EXPECT_TRUE(right(store.get(other.large, kLong), kLarge, kOther)) << "who is not cut off works on";
  EXPECT_TRUE(good(store.put(name_at(store, kOther, "meanwhile"), pattern(10, 1))));
  control.say(fmt::format("failed with {}", to_string(error.code)));
  if (control.hear() == "healed") {
    expect_works_again(store, kVictim, victim);
    EXPECT_TRUE(good(store.barrier(kLong))) << "all are together again";
    control.say("works again");
  } else {
    expect_all_unreachable(store, kVictim, victim, Code::timed_out, soon);
    EXPECT_TRUE(right(store.get(other.large, kLong), kLarge, kOther)) << "who is not concerned works on";
    control.say("works without it");
  }
  control.expect("end");
}

void run_killed(Store& store, const JobOptions& options) {
  ASSERT_EQ(store.size(), 4U);
  constexpr std::uint32_t kVictim = 3;
  Control control(options.control, store.rank());
  const Duration soon = options.deadline;
  put_own(store);
  ASSERT_TRUE(good(store.barrier(kLong)));
  const Known victim = look_up(store, kVictim), first = look_up(store, 0);
  EXPECT_TRUE(right(store.get(victim.small, kLong), kSmall, kVictim));
  control.say("ready");
  if (store.rank() == kVictim) {
    control.expect("die");
    ::raise(SIGKILL);
  }
  control.expect("killed");
  // Its host is alive and says so: nobody has to wait for the deadline, which is far.
  const TimePoint start = real_clock().now();
  auto pin = store.get(victim.small, kLong);
  while (pin && real_clock().now() - start < kLong) pin = store.get(victim.small, kLong);
  const Duration took = real_clock().now() - start;
  ASSERT_TRUE(fails(pin, Code::owner_lost, "rank 3"));
  fmt::print("lost {:.3f} s after it was killed, by a get with a deadline of {} s\n", seconds(took),
             seconds(kLong));
  EXPECT_LT(took, at_once()) << "lost at once";
  expect_all_unreachable(store, kVictim, victim, Code::owner_lost, soon);
  EXPECT_TRUE(right(store.get(first.large, kLong), kLarge, 0)) << "who is not concerned works on";
  control.say("lost");
  control.expect("end");
}

}  // namespace holdfast::test
