// Sorts three times as many bytes as the arenas of all ranks hold, and checks the result:
// HOLDFAST_SPILL=/scratch/me holdfast-run -n 4 outofcore
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "sort.h"

namespace {

using namespace holdfast;
using namespace outofcore;

constexpr const char* kUsage =
    "usage: outofcore [--times N] [--timeout SECONDS]\n"
    "Sorts random 64-bit records, N times (3) what the arenas of all ranks hold. Start it under "
    "holdfast-run,\n"
    "mpirun or srun, with HOLDFAST_SPILL naming directories on local disks.\n"
    "Exit code: 0 the order was verified, 1 it was not or something failed, 2 wrong usage.\n";

// Of the arena, so that what is pinned and what is written leave room for what comes back.
constexpr std::uint64_t kBlockShare = 8, kBucketShare = 4;

struct Arguments {
  std::uint32_t times = 3;
  std::uint32_t timeout_s = 600;
};

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; i += 2) {
    std::uint32_t* const number = std::strcmp(argv[i], "--times") == 0     ? &arguments.times
                                  : std::strcmp(argv[i], "--timeout") == 0 ? &arguments.timeout_s
                                                                           : nullptr;
    if (number == nullptr || i + 1 == argc) return false;
    const char* const end = argv[i + 1] + std::strlen(argv[i + 1]);
    const auto [stopped, error] = std::from_chars(argv[i + 1], end, *number);
    if (error != std::errc() || stopped != end || *number == 0) return false;
  }
  return true;
}

enum Phase : std::size_t { kPut, kDistribute, kSort, kCheck, kPhases };
constexpr const char* kPhaseNames[kPhases] = {"putting", "distributing", "sorting", "checking"};

/// What one rank tells rank 0.
struct Report {
  Tally put;
  Found found;
  std::uint64_t spilled_bytes = 0, restored_bytes = 0, gets = 0, gets_from_disk = 0;
  std::array<double, kPhases> seconds{};
};

/// Times the phases, which all ranks begin together, and tells on standard error how far rank 0 is.
class Phases {
 public:
  Phases(Store& store, Plan& plan) : store_(store), plan_(plan) {}

  Status begin(Phase phase) {
    HOLDFAST_DO(store_.barrier(plan_.timeout));
    start_ = real_clock().now();
    plan_.progress = [this, phase, done = std::uint64_t{0}, step = 1U](std::uint64_t bytes) mutable {
      done += bytes;
      for (; store_.rank() == 0 && step <= 4 && done * 4 >= plan_.bytes() * step; ++step)
        std::fprintf(stderr, "%s: %u %%\n", kPhaseNames[phase], 25 * step);
    };
    return {};
  }
  double seconds() const { return std::chrono::duration<double>(real_clock().now() - start_).count(); }

 private:
  Store& store_;
  Plan& plan_;
  TimePoint start_;
};

Result<Plan> plan_for(const Store& store, const Arguments& arguments) {
  const Stats stats = store.stats();
  if (stats.spill_directories.empty())
    return fail(Code::invalid, "outofcore", "name directories on local disks in HOLDFAST_SPILL, to spill to");
  std::uint64_t arena = 0;
  for (const NodeStats& node : stats.nodes) arena += node.segment.bytes;
  Plan plan;
  plan.block_records = arena / kBlockShare / sizeof(Record);
  plan.blocks = arguments.times * kBlockShare;
  plan.buckets = static_cast<std::uint32_t>(arguments.times * kBucketShare);
  plan.timeout = std::chrono::seconds(arguments.timeout_s);
  return plan;
}

/// What rank 0 prints; false where the records are not those that were put, in order.
bool summarize(const Plan& plan, const std::vector<Report>& reports, const Arguments& arguments) {
  Report sum;
  bool in_order = true;
  Record last = 0;
  for (const Report& report : reports) {
    sum.put.records += report.put.records;
    sum.put.fingerprint += report.put.fingerprint;
    const Found& found = report.found;
    sum.found.tally.records += found.tally.records;
    sum.found.tally.fingerprint += found.tally.fingerprint;
    if (found.tally.records > 0) {
      in_order = in_order && found.in_order && last <= found.first;
      last = found.last;
    }
    sum.spilled_bytes += report.spilled_bytes;
    sum.restored_bytes += report.restored_bytes;
    sum.gets += report.gets;
    sum.gets_from_disk += report.gets_from_disk;
    for (std::size_t i = 0; i < kPhases; ++i) sum.seconds[i] = std::max(sum.seconds[i], report.seconds[i]);
  }
  const std::uint64_t bytes = plan.bytes() * reports.size();
  double total = 0;
  std::printf("ranks        %zu\n", reports.size());
  std::printf("records      %llu of 8 bytes: %s, %u x the arenas\n",
              static_cast<unsigned long long>(sum.put.records), format_bytes(bytes).c_str(), arguments.times);
  for (std::size_t i = 0; i < kPhases; ++i) {
    std::printf("%-12s %.3f s: %.3f GB/s\n", kPhaseNames[i], sum.seconds[i],
                static_cast<double>(bytes) / 1e9 / std::max(sum.seconds[i], 1e-9));
    total += sum.seconds[i];
  }
  std::printf("spilled      %s\nrestored     %s\n", format_bytes(sum.spilled_bytes).c_str(),
              format_bytes(sum.restored_bytes).c_str());
  std::printf("disk         %.3f GB/s\n",
              static_cast<double>(sum.spilled_bytes + sum.restored_bytes) / 1e9 / std::max(total, 1e-9));
  std::printf("in memory    %.1f %% of %llu gets\n",
              100.0 - 100.0 * static_cast<double>(sum.gets_from_disk) /
                          static_cast<double>(std::max<std::uint64_t>(sum.gets, 1)),
              static_cast<unsigned long long>(sum.gets));
  const bool verified = in_order && sum.put == sum.found.tally;
  std::printf("verified     %s\n", verified                     ? "yes"
                                   : sum.put == sum.found.tally ? "no: not in order"
                                                                : "no: not the records that were put");
  return verified;
}

Result<std::vector<Report>> gather(Store& store, const Plan& plan, const Report& mine) {
  HOLDFAST_DO(store.put(name("outofcore", "report", store.rank()), std::as_bytes(std::span(&mine, 1))));
  std::vector<Report> reports;
  for (std::uint32_t from = 0; store.rank() == 0 && from < store.size(); ++from) {
    HOLDFAST_TRY(const Pin pin, store.get(name("outofcore", "report", from), plan.timeout));
    reports.push_back(pin.as<Report>().front());
  }
  return reports;
}

/// False where rank 0 found the result wrong.
Result<bool> run(const Arguments& arguments) {
  HOLDFAST_TRY(Store store, Store::open());
  HOLDFAST_TRY(Plan plan, plan_for(store, arguments));
  Report mine;
  Phases phases(store, plan);

  HOLDFAST_DO(phases.begin(kPut));
  HOLDFAST_TRY(auto input, make_input(store, plan, mine.put));
  mine.seconds[kPut] = phases.seconds();

  HOLDFAST_DO(phases.begin(kDistribute));
  HOLDFAST_TRY(const auto bounds, agree_on_bounds(store, plan, input));
  HOLDFAST_DO(distribute(store, plan, bounds, std::move(input)));
  mine.seconds[kDistribute] = phases.seconds();

  HOLDFAST_DO(phases.begin(kSort));
  HOLDFAST_TRY(const auto sorted, sort_buckets(store, plan));
  mine.seconds[kSort] = phases.seconds();

  HOLDFAST_DO(phases.begin(kCheck));
  HOLDFAST_TRY(mine.found, look_at(store, plan, sorted));
  mine.seconds[kCheck] = phases.seconds();

  const Stats stats = store.stats();
  mine.spilled_bytes = stats.spilled_bytes;
  mine.restored_bytes = stats.restored_bytes;
  mine.gets = stats.gets_local + stats.gets_shared + stats.gets_remote;
  mine.gets_from_disk = stats.gets_from_disk;
  HOLDFAST_TRY(const auto reports, gather(store, plan, mine));
  const bool verified = store.rank() != 0 || summarize(plan, reports, arguments);
  HOLDFAST_DO(store.barrier(plan.timeout));  // everybody has read what it needed
  HOLDFAST_DO(store.close());
  return verified;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const auto verified = run(arguments);
  if (!verified) std::fprintf(stderr, "%s\n", verified.error().message().c_str());
  return verified && *verified ? 0 : 1;
}
