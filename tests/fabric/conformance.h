// What every Fabric must do, as tests written against the interface alone. The tests stand in
// conformance_*.cpp; a program that links them and instantiates FabricConformance runs them on its fabric.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/fabric/fabric.h"
#include "tests/fabric/ended.h"

namespace holdfast::fabric::test {

/// A fabric under test and the time it lives in.
class World {
 public:
  virtual ~World() = default;
  virtual Fabric& fabric() = 0;
  /// The fabric that opens the `number`-th endpoint of a test: there may be several that reach each other.
  virtual Fabric& fabric_of(std::size_t /*number*/) { return fabric(); }
  virtual const Clock& clock() = 0;
  /// Called between polls: a simulated world moves its network and its clock here.
  virtual void turn() {}
  /// False where time only moves by turn(): then nothing blocks and no thread can wake anybody.
  virtual bool real_time() const { return true; }
  /// Whether a wrong key, and a range beyond what is exposed, are noticed by the peer.
  virtual bool checks_keys() const { return true; }
  /// Whether a peer whose connection broke on a refused read can be read again by the same endpoint.
  virtual bool reconnects() { return true; }
};

struct WorldMaker {
  std::string name;  ///< for the test's name
  /// The world, or why this machine has none (the test is then skipped).
  std::function<Result<std::unique_ptr<World>>()> make;
};

/// For GoogleTest's messages.
void PrintTo(const WorldMaker& maker, std::ostream* out);

class FabricConformance : public testing::TestWithParam<WorldMaker> {
 protected:
  void SetUp() override;
  void TearDown() override;

  Endpoint& open(const EndpointOptions& options = {});
  void close(Endpoint& endpoint);
  /// Drives all endpoints in turn until `done`, or fails the test after a minute.
  void drive_until(const std::function<bool()>& done);
  /// Drives for that long, by the world's clock.
  void drive_for(Duration time);
  void drive_once();

  /// Memory of `bytes`, filled with a pattern that depends on `seed`.
  static std::vector<std::byte> pattern(std::size_t bytes, unsigned seed);
  /// Exposes and connects; the test fails where that fails.
  RemoteMemory expose(Endpoint& owner, const std::vector<std::byte>& memory);
  PeerId connect(Endpoint& from, Endpoint& to);
  std::vector<std::byte> destination(Endpoint& reader, std::size_t bytes);
  Deadline soon() { return Deadline::after(world().clock(), std::chrono::seconds(60)); }
  World& world() { return *world_; }

 private:
  std::unique_ptr<World> world_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
};

/// An owner, and a reader connected to it.
class FabricReads : public FabricConformance {
 protected:
  void SetUp() override;
  ReadRequest request(const RemoteMemory& from, std::uint64_t offset, std::span<std::byte> into);
  /// Reads and drives until it ended.
  void read(const ReadRequest& request, Ended& ended);

  Endpoint* owner_ = nullptr;
  Endpoint* reader_ = nullptr;
  PeerId peer_;
};

class FabricMessages : public FabricConformance {};

/// Deadlines, waiting, waking, closing.
class FabricTime : public FabricReads {};

std::string name_of_world(const testing::TestParamInfo<WorldMaker>& info);

}  // namespace holdfast::fabric::test

/// Runs the whole suite on the worlds of `makers` (a testing::Values or ValuesIn of WorldMaker).
#define HOLDFAST_FABRIC_CONFORMANCE(prefix, makers)                        \
  namespace holdfast::fabric::test {                                       \
  INSTANTIATE_TEST_SUITE_P(prefix, FabricReads, makers, name_of_world);    \
  INSTANTIATE_TEST_SUITE_P(prefix, FabricMessages, makers, name_of_world); \
  INSTANTIATE_TEST_SUITE_P(prefix, FabricTime, makers, name_of_world);     \
  }
