// One rank of a job that runs across hosts, as a launcher starts it: scenarios by name, expectations by
// GoogleTest, and a line each way between the rank and the script that cuts links meanwhile.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/file.h"
#include "holdfast/holdfast.h"
#include "tests/core/expect.h"

namespace holdfast::test {

using namespace std::chrono_literals;

/// Longer than anything here takes on a slow machine; ends what hangs.
inline constexpr Duration kLong = 100s;

/// Whether this is the virtual machine of ci/testbed/vm, where everything takes eleven times as long.
inline bool emulated() { return std::getenv("IN_TESTBED_VM") != nullptr; }

struct JobOptions {
  std::string scenario;
  std::string control;  ///< directory with the FIFOs RANK.in and RANK.out; empty: nobody speaks with this job
  std::string interface;      ///< whose counters the wire scenario reads
  Duration deadline = 700ms;  ///< of calls that may fail; 16 MiB must come within it
  std::string provider;       ///< expected; empty: any
  std::uint32_t hosts = 0;    ///< expected; 0: any
  std::uint32_t ranks = 0;    ///< expected; 0: any
  std::uint32_t nodes = 0;    ///< that segments lie on, expected; 0: any
};

/// What a member of run_exchange has, whatever HOLDFAST_ARENA says: less than it puts, and enough for what it
/// has pinned at once of its own and of others'.
inline constexpr std::uint64_t kExchangeArena = 32_MiB;

/// Lines between a rank and the script.
class Control {
 public:
  Control(const std::string& directory, std::uint32_t rank);
  void say(std::string_view text);
  /// Fails the test where another line, or none, comes.
  void expect(std::string_view text);
  /// The next line; "(silent)" where none comes for long.
  std::string hear();

 private:
  File in_, out_;
  std::string read_;
};

void run_exchange(Store& store, const JobOptions& options);
void exchange_spilled(Store& store);  ///< its first part; the store has a directory to spill to
void run_cut(Store& store, const JobOptions& options);  ///< three ranks on three hosts; rank 1's is cut off
void run_killed(Store& store, const JobOptions& options);  ///< four on two; rank 3 is killed
void run_wire(Store& store, const JobOptions& options);    ///< two; rank 1 counts what its gets cost

std::string host_name();
std::string text_of(const Pin& pin);
inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
/// A name whose home is `home`; the same in every rank for the same `what`.
Name name_at(const Store& store, std::uint32_t home, std::string_view what);

}  // namespace holdfast::test
