// Who may attach to a member's memory, and what is said of one that does not answer.
#include "src/socket_neighbours.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <ctime>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/random.h"
#include "holdfast/base/units.h"
#include "holdfast/numa/topology.h"
#include "holdfast/version.h"
#include "holdfast/why.h"
#include "src/descriptor_message.h"
#include "src/wire.h"
#include "tests/core/expect.h"
#include "tests/core/interruptions.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::fails;

constexpr uid_t kNobody = 65534;

/// A socket address in the abstract namespace.
struct Address {
  explicit Address(std::string_view name) {
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
  sockaddr_un address{};
  socklen_t length = 0;
};

class NeighboursTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto topology = numa::Topology::discover();
    ASSERT_TRUE(test::good(topology));
    numa::ArenaOptions options;
    options.bytes = 1_MiB;
    options.pages.largest = numa::Pages::base;
    options.prefault = numa::ArenaOptions::Prefault::none;
    auto arena = numa::Arena::create(*topology, options);
    ASSERT_TRUE(test::good(arena));
    arena_ = std::move(*arena);
    auto ledger = Ledger::create(64);
    ASSERT_TRUE(test::good(ledger));
    ledger_ = std::move(*ledger);
  }

  Result<std::unique_ptr<SocketNeighbours>> start() {
    return SocketNeighbours::start(identity_, *arena_, ledger_);
  }

  const SocketNeighbours::Identity identity_{"job", MemberId{0}, random_u64()};
  std::unique_ptr<numa::Arena> arena_;
  Ledger ledger_;
};

enum class Answer : int { memory, refusal, silence, trouble };

/// Says what SocketNeighbours::attach says; false if it cannot.
bool say_hello(const File& connection, const SocketNeighbours::Identity& owner, const Ledger& ledger) {
  const Address address(fmt::format("holdfast-{:016x}", owner.incarnation));
  if (!connection || connect(connection.get(), address.get(), address.length) != 0) return false;
  WireWriter hello;
  hello.put(std::uint64_t{0x6f6c6c6568666c68});
  hello.put(kProtocolVersion);
  hello.put_text(owner.job);
  hello.put(owner.incarnation);
  hello.put(ledger.shared_bytes());
  // Who is refused may find the line closed already.
  (void)send_descriptors(connection.get(), hello.bytes(), std::vector{ledger.fd()});
  return true;
}

/// What comes of it within `patience`.
Answer hear_answer(const File& connection, Duration patience) {
  const auto answer = receive_descriptors(connection.get(), Deadline::after(real_clock(), patience));
  if (answer) return answer->files.empty() ? Answer::trouble : Answer::memory;
  return answer.error().code == Code::timed_out    ? Answer::silence
         : answer.error().code == Code::owner_lost ? Answer::refusal
                                                   : Answer::trouble;
}

/// Runs in a process of its own: no assertions.
Answer greet(const SocketNeighbours::Identity& owner, const Ledger& ledger) {
  const File connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  return say_hello(connection, owner, ledger) ? hear_answer(connection, 60s) : Answer::trouble;
}

/// The answer that a process of `user` gets. It exists before the member's thread does (a fork keeps only one
/// thread), and speaks once the member listens.
class Stranger {
 public:
  Stranger(std::optional<uid_t> user, const SocketNeighbours::Identity& owner, const Ledger& ledger) {
    int ends[2] = {-1, -1};
    if (pipe(ends) != 0) return;
    process_ = fork();
    if (process_ == 0) {
      close(ends[1]);
      char go = 0;
      const bool ready = read(ends[0], &go, 1) == 1 && (!user || setresuid(*user, *user, *user) == 0);
      _exit(static_cast<int>(ready ? greet(owner, ledger) : Answer::trouble));
    }
    close(ends[0]);
    go_ = File(ends[1]);
  }
  ~Stranger() {
    go_ = File();
    if (process_ > 0) waitpid(process_, nullptr, 0);
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  Answer says() {
    int status = 0;
    if (process_ <= 0 || write(go_.get(), "x", 1) != 1 || waitpid(process_, &status, 0) != process_)
      return Answer::trouble;
    process_ = -1;
    return WIFEXITED(status) ? static_cast<Answer>(WEXITSTATUS(status)) : Answer::trouble;
  }

 private:
  pid_t process_ = -1;
  File go_;
};

TEST_F(NeighboursTest, GivesItsMemoryToAProcessOfTheSameUser) {
  Stranger same(std::nullopt, identity_, ledger_);
  const auto member = start();
  ASSERT_TRUE(test::good(member));
  EXPECT_EQ(same.says(), Answer::memory);
}

TEST_F(NeighboursTest, RefusesAProcessOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  Stranger other(kNobody, identity_, ledger_);
  const auto member = start();
  ASSERT_TRUE(test::good(member));
  EXPECT_EQ(other.says(), Answer::refusal);
}

/// No more than `more` descriptors can be opened while it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t more) {
    getrlimit(RLIMIT_NOFILE, &former_);
    rlimit few = former_;
    few.rlim_cur = static_cast<rlim_t>(File(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)).get()) + more;
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &former_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit former_{};
};

/// None to accept with, and none for what the first packet brings.
TEST_F(NeighboursTest, WaitsWhileThereAreNoDescriptorsAndServesWhenThereAre) {
  for (const rlim_t left : {0U, 1U}) {
    const auto member = start();
    ASSERT_TRUE(test::good(member));
    const File connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    {
      const FewDescriptors few(left);
      ASSERT_TRUE(say_hello(connection, identity_, ledger_));
      const std::clock_t before = std::clock();
      EXPECT_EQ(hear_answer(connection, 1s), Answer::silence) << left;
      EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 4) << "the thread does not sleep";
    }
    EXPECT_EQ(hear_answer(connection, 60s), Answer::memory) << left;
  }
}

/// Listens, as a member that is stopped does, and never answers.
class Silent {
 public:
  explicit Silent(const std::string& name) : listener_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    const Address address(name);
    EXPECT_EQ(bind(listener_.get(), address.get(), address.length), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
  }

 private:
  File listener_;
};

using Mapped = Result<std::unique_ptr<View>>;

std::future<Mapped> attach(SocketNeighbours& member, const Card& card) {
  const auto told = std::make_shared<std::promise<Mapped>>();
  member.attach(MemberId{7}, card, [told](Mapped mapped) { told->set_value(std::move(mapped)); });
  return told->get_future();
}

bool is_told(const std::future<Mapped>& mapped, Duration within) {
  return mapped.wait_for(within) == std::future_status::ready;
}

TEST_F(NeighboursTest, AMemberThatIsSilentIsWaitedForToItsEndAndHoldsNobodyUp) {
  const auto member = start();
  const auto other = SocketNeighbours::start({"job", MemberId{1}, random_u64()}, *arena_, ledger_);
  ASSERT_TRUE(test::good(member) && test::good(other));
  Card card;
  card.host_socket = fmt::format("holdfast-test-{:016x}", random_u64());
  std::optional<Silent> silent(card.host_socket);
  // More than it has places for.
  std::vector<std::future<Mapped>> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(attach(**member, card));

  Card answering = card;
  answering.host_socket = (*other)->socket_name();
  answering.incarnation =
      std::stoull(answering.host_socket.substr(answering.host_socket.find('-') + 1), nullptr, 16);
  answering.arena_bytes = arena_->bytes();
  answering.catalogue = CatalogueGeometry::for_entries(16);
  auto mapped = attach(**member, answering);
  ASSERT_TRUE(is_told(mapped, 60s));
  const Mapped view = mapped.get();
  ASSERT_TRUE(test::good(view));
  EXPECT_NE((*view)->at(0, arena_->bytes() / arena_->segments().size()), nullptr);

  for (const auto& one : waiting) EXPECT_FALSE(is_told(one, 0s));
  silent.reset();
  for (auto& one : waiting) {
    ASSERT_TRUE(is_told(one, 60s));
    EXPECT_TRUE(fails(one.get(), Code::owner_lost));
  }
}

TEST_F(NeighboursTest, WhatIsUnderWayWhenItEndsIsNotTold) {
  auto member = start();
  ASSERT_TRUE(test::good(member));
  Card card;
  card.host_socket = fmt::format("holdfast-test-{:016x}", random_u64());
  const Silent silent(card.host_socket);
  auto waiting = attach(**member, card);
  member->reset();
  EXPECT_THROW(waiting.get(), std::future_error);
}

TEST(WhyFromOutsideTest, SignalsDoNotMakeItWaitBeyondItsTimeout) {
  const ObjectId id{random_u64(), 1};
  const Silent silent(fmt::format("holdfast-{:016x}", id.high));
  const test::Interruptions interruptions;
  EXPECT_TRUE(fails(why(id, 200ms), Code::timed_out));
}

}  // namespace
}  // namespace holdfast
