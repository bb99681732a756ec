// The small parts: the deadline heap, the list, addresses, errors, probes.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <rdma/fi_errno.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>
#include <random>
#include <vector>

#include "fabric/list.h"
#include "fabric/ofi/address.h"
#include "fabric/ofi/deadline_heap.h"
#include "fabric/ofi/endpoint.h"
#include "fabric/ofi/errors.h"
#include "fabric/ofi/locked_memory.h"
#include "fabric/ofi/refusal_probe.h"
#include "holdfast/base/units.h"
#include "holdfast/fabric/ofi.h"
#include "tests/fabric/ended.h"

namespace holdfast::fabric::ofi {
namespace {

struct Element {
  Deadline deadline = Deadline::never();
  std::size_t heap_place = kNotInHeap;
  Links<Element> links;
  int number = 0;
};

Deadline at(std::int64_t nanoseconds) { return Deadline::at(TimePoint(Duration(nanoseconds))); }

}  // namespace

TEST(OfiDeadlineHeap, GivesTheNearestWhateverWasTakenOut) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::deque<Element> elements(500);
  DeadlineHeap<Element> heap;
  std::vector<Element*> inside;
  for (int step = 0; step < 20'000; ++step) {
    Element& element = elements[random() % elements.size()];
    const auto place = std::find(inside.begin(), inside.end(), &element);
    if (place == inside.end()) {
      element.deadline = at(random() % 100);
      heap.add(element);
      inside.push_back(&element);
    } else {
      heap.remove(element);
      inside.erase(place);
      EXPECT_EQ(element.heap_place, kNotInHeap);
    }
    ASSERT_EQ(heap.empty(), inside.empty());
    if (inside.empty()) continue;
    const auto nearest =
        std::min_element(inside.begin(), inside.end(),
                         [](const Element* a, const Element* b) { return a->deadline < b->deadline; });
    ASSERT_EQ(heap.nearest().deadline, (*nearest)->deadline);
  }
}

TEST(OfiDeadlineHeap, TakingOutWhatIsNotInsideDoesNothing) {
  DeadlineHeap<Element> heap;
  Element in, out;
  in.deadline = at(5);
  heap.add(in);
  heap.remove(out);
  EXPECT_EQ(&heap.nearest(), &in);
}

TEST(OfiList, KeepsOrderAndLosesOnlyWhatIsTakenOut) {
  List<Element> list;
  std::deque<Element> elements(5);
  for (int i = 0; i < 5; ++i) {
    elements[i].number = i;
    list.push_back(elements[i]);
  }
  list.remove(elements[2]);
  list.remove(elements[4]);
  list.remove(elements[0]);
  list.push_back(elements[2]);
  std::vector<int> order;
  while (Element* element = list.pop_front()) order.push_back(element->number);
  EXPECT_EQ(order, (std::vector<int>{1, 3, 2}));
  EXPECT_TRUE(list.empty());
}

TEST(OfiErrors, AreTheSameWithEitherSign) {
  for (const int number : {FI_ECONNRESET, FI_ECONNREFUSED, FI_ENOTCONN, FI_ECANCELED, EPIPE}) {
    EXPECT_EQ(code_of(number), Code::owner_lost) << number;
    EXPECT_EQ(code_of(-number), Code::owner_lost) << number;
  }
  EXPECT_EQ(code_of(-FI_EACCES), Code::denied);
  EXPECT_EQ(code_of(FI_EKEYREJECTED), Code::denied);
  EXPECT_EQ(code_of(-FI_EINVAL), Code::invalid);
  EXPECT_EQ(code_of(FI_ENOMEM), Code::system);
  EXPECT_EQ(describe(-FI_ECONNRESET), describe(FI_ECONNRESET));
}

TEST(OfiErrors, NoMemoryAtRegistrationNamesTheLimitAndTheRemedy) {
  const Error error = fail_registration(-FI_ENOMEM, "Endpoint::expose", 1 << 30).value();
  EXPECT_EQ(error.code, Code::denied);
  EXPECT_NE(error.detail.find("ulimit -l"), std::string::npos) << error.detail;
  EXPECT_NE(error.detail.find("1 GiB"), std::string::npos) << error.detail;
  EXPECT_EQ(fail_registration(-FI_EINVAL, "Endpoint::expose", 1).value().code, Code::invalid);
  const Error none = fail_registration(-FI_EPERM, "Endpoint::expose", 1).value();  // where the limit is 0
  EXPECT_NE(none.detail.find("ulimit -l"), std::string::npos) << none.detail;
}

TEST(OfiLockedMemory, IsAskedForBeforeAnythingIsPinned) {
  FabricInfo info;
  info.rdma = info.needs_attach = true;
  const OfiOptions options{.memory = 1_GiB, .most_endpoints = 3};
  const std::uint64_t wanted = 1_GiB + 3 * kPinnedAnEndpoint;
  EXPECT_EQ(bytes_to_pin(options), wanted);
  EXPECT_TRUE(check_locked_memory(info, options, {}, 1_TiB)) << "there is no limit";
  EXPECT_TRUE(check_locked_memory(info, options, {.soft = wanted}, 0));
  const Status refused = check_locked_memory(info, options, {.soft = wanted - 1}, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::denied);
  EXPECT_NE(refused.error().detail.find("ulimit -l"), std::string::npos) << refused.error().detail;
  EXPECT_FALSE(check_locked_memory(info, options, {.soft = wanted}, 4096)) << "some is locked already";
  EXPECT_FALSE(check_locked_memory(info, options, {.soft = 4096}, 8192)) << "more than may be";
  EXPECT_TRUE(check_locked_memory(info, {}, {.soft = 0}, 0)) << "nobody said what will be exposed";
  info.rdma = info.needs_attach = false;
  EXPECT_TRUE(check_locked_memory(info, options, {.soft = 0}, 0)) << "TCP pins nothing";
}

TEST(OfiAddress, OfAnotherProviderIsRefusedWithTheReason) {
  const InfoHandle here(fi_allocinfo()), there(fi_allocinfo());
  here->addr_format = there->addr_format = FI_SOCKADDR_IN;
  here->ep_attr->protocol = FI_PROTO_XNET;
  there->ep_attr->protocol = FI_PROTO_RXM;
  here->fabric_attr->prov_name = strdup("net");
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(4711);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto raw = std::as_bytes(std::span(&in, 1));
  const Address same = wrap_address(*here, raw);
  const auto unwrapped = unwrap_address(*here, same);
  ASSERT_TRUE(unwrapped.has_value()) << unwrapped.error().message();
  EXPECT_TRUE(std::equal(unwrapped->begin(), unwrapped->end(), raw.begin(), raw.end()));
  const auto other = unwrap_address(*here, wrap_address(*there, raw));
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, Code::invalid);
  EXPECT_NE(other.error().detail.find("HOLDFAST_PROVIDER"), std::string::npos) << other.error().detail;
  in.sin_port = 0;
  EXPECT_FALSE(unwrap_address(*here, wrap_address(*here, raw)).has_value());
}

TEST(OfiRefusalProbe, TellsAListenerFromNobody) {
  const File listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(in);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&in), size), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&in), &size), 0);
  const auto answer = [&] {
    RefusalProbe probe = RefusalProbe::start(std::as_bytes(std::span(&in, 1)));
    RefusalProbe::Answer result = RefusalProbe::Answer::pending;
    while (result == RefusalProbe::Answer::pending) result = probe.look();
    EXPECT_FALSE(probe.under_way());
    return result;
  };
  EXPECT_EQ(answer(), RefusalProbe::Answer::refused) << "bound, but nobody listens";
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(answer(), RefusalProbe::Answer::open);
}

// Those who connect to an endpoint that nobody drives ask its host in the end whether it is there at all.
TEST(OfiRefusalProbe, CostsThePeerNothingThatStays) {
  constexpr int kPeers = 20;
  const auto fabric = open_ofi({.provider = "net"});
  if (!fabric) GTEST_SKIP() << fabric.error().message();
  const auto open = [&] { return std::move((*fabric)->open({}).value()); };
  const auto open_files = [] {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  };
  const std::unique_ptr<Endpoint> target = open();
  std::vector<std::unique_ptr<Endpoint>> endpoints;
  for (int i = 0; i <= kPeers; ++i) endpoints.push_back(open());
  const std::size_t before = open_files();
  std::deque<test::Ended> sent;
  const auto send = [&](Endpoint& endpoint) {
    endpoint.send(endpoint.connect(target->address()).value(), {}, Deadline::never(), sent.emplace_back());
  };
  const auto drive_target = [&] {
    while (!std::ranges::all_of(sent, &test::Ended::ended)) {
      errno = EAGAIN;  // left behind by a socket that was empty, as it is where there are many
      target->poll();
      for (const auto& endpoint : endpoints) endpoint->poll();
    }
  };
  for (int i = 0; i < kPeers; ++i) send(*endpoints[i]);
  const Deadline asked = Deadline::after(real_clock(), 3 * kProbeAfter);
  while (!asked.passed(real_clock()))
    for (const auto& endpoint : endpoints) endpoint->poll();
  drive_target();
  send(*endpoints.back());  // comes after all that was asked
  drive_target();
  EXPECT_TRUE(std::ranges::all_of(sent, &test::Ended::ok));
  EXPECT_EQ(open_files(), before + 2 * endpoints.size()) << "more than both ends of each connection";
}

}  // namespace holdfast::fabric::ofi
