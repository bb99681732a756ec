#include "tests/fabric/conformance.h"

#include <algorithm>

namespace holdfast::fabric::test {

void FabricConformance::SetUp() {
  auto world = GetParam().make();
  if (!world) GTEST_SKIP() << world.error().message();
  world_ = std::move(*world);
}

void FabricConformance::TearDown() {
  endpoints_.clear();
  world_.reset();
}

Endpoint& FabricConformance::open(const EndpointOptions& options) {
  auto endpoint = world_->fabric_of(endpoints_.size()).open(options);
  EXPECT_TRUE(endpoint.has_value()) << endpoint.error().message();
  endpoints_.push_back(std::move(*endpoint));
  return *endpoints_.back();
}

void FabricConformance::close(Endpoint& endpoint) {
  std::erase_if(endpoints_, [&](const auto& held) { return held.get() == &endpoint; });
}

void FabricConformance::drive_once() {
  for (const auto& endpoint : endpoints_) endpoint->poll();
  world_->turn();
}

void FabricConformance::drive_until(const std::function<bool()>& done) {
  const Deadline limit = soon();
  while (!done()) {
    drive_once();
    ASSERT_FALSE(limit.passed(world_->clock())) << "nothing came of it within a minute";
  }
}

void FabricConformance::drive_for(Duration time) {
  const Deadline limit = Deadline::after(world_->clock(), time);
  while (!limit.passed(world_->clock())) drive_once();
}

std::vector<std::byte> FabricConformance::pattern(std::size_t bytes, unsigned seed) {
  std::vector<std::byte> out(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>((i * 31 + i / 251 + seed) & 0xff);
  return out;
}

RemoteMemory FabricConformance::expose(Endpoint& owner, const std::vector<std::byte>& memory) {
  auto remote = owner.expose(memory);
  EXPECT_TRUE(remote.has_value()) << remote.error().message();
  return remote.value_or(RemoteMemory{});
}

PeerId FabricConformance::connect(Endpoint& from, Endpoint& to) {
  auto peer = from.connect(to.address());
  EXPECT_TRUE(peer.has_value()) << peer.error().message();
  return peer.value_or(PeerId{});
}

std::vector<std::byte> FabricConformance::destination(Endpoint& reader, std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  const Status attached = reader.attach(out);
  EXPECT_TRUE(attached.has_value()) << attached.error().message();
  return out;
}

void FabricReads::SetUp() {
  FabricConformance::SetUp();
  if (IsSkipped()) return;
  owner_ = &open();
  reader_ = &open();
  peer_ = connect(*reader_, *owner_);
}

ReadRequest FabricReads::request(const RemoteMemory& from, std::uint64_t offset, std::span<std::byte> into) {
  return {.peer = peer_, .from = from, .offset = offset, .into = into, .hold = {}, .deadline = soon()};
}

void FabricReads::read(const ReadRequest& request, Ended& ended) {
  reader_->read(request, ended);
  EXPECT_EQ(ended.calls, 0) << "completed from inside the starting call";
  drive_until([&] { return ended.ended(); });
  EXPECT_EQ(ended.calls, 1);
}

void PrintTo(const WorldMaker& maker, std::ostream* out) { *out << maker.name; }

std::string name_of_world(const testing::TestParamInfo<WorldMaker>& info) { return info.param.name; }

}  // namespace holdfast::fabric::test
