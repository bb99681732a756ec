// Counts the words of files with all ranks of a job, and checks the result: holdfast-run -n 4 wordcount
// FILE...
//
// Each rank reads its share of the bytes and counts; the counts change hands through the store (exchange.h),
// so that every word ends up at one rank; rank 0 gathers the most frequent ones and recounts everything
// alone.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "counts.h"
#include "exchange.h"
#include "words.h"

namespace {

using namespace holdfast;
using namespace std::chrono_literals;
using namespace wordcount;

struct Arguments {
  std::uint32_t top = 10;
  std::uint32_t timeout_s = 600;
  std::vector<std::string> paths;
};

constexpr const char* kUsage =
    "usage: wordcount [--top N] [--timeout SECONDS] FILE...\n"
    "Counts the words of the files with all ranks of a job; start it under holdfast-run, mpirun or srun.\n"
    "Exit code: 0 the counts were verified, 1 they were not or something failed, 2 wrong usage.\n";

bool parse_number(const char* text, std::uint32_t& number) {
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, number);
  return error == std::errc() && stopped == end && number > 0;
}

bool parse(int argc, char** argv, Arguments& arguments) {
  int i = 1;
  for (; i < argc && std::strncmp(argv[i], "--", 2) == 0; ++i) {
    const std::string option = argv[i];
    if (option == "--") {
      ++i;
      break;
    }
    std::uint32_t* const number = option == "--top"       ? &arguments.top
                                  : option == "--timeout" ? &arguments.timeout_s
                                                          : nullptr;
    if (number == nullptr || ++i == argc || !parse_number(argv[i], *number)) return false;
  }
  arguments.paths.assign(argv + std::min(i, argc), argv + argc);
  return !arguments.paths.empty();
}

/// A line on standard error at every quarter of a long pass.
class Progress {
 public:
  Progress(const char* what, std::uint64_t total) : what_(what), total_(total) {}
  void operator()(std::uint64_t bytes) {
    done_ += bytes;
    while (step_ <= 4 && total_ > 0 && done_ * 4 >= total_ * step_) {
      std::fprintf(stderr, "%s: %u %% of %s\n", what_, 25 * step_, format_bytes(total_).c_str());
      ++step_;
    }
  }

 private:
  const char* what_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  unsigned step_ = 1;
};

double seconds_since(TimePoint start) {
  return std::chrono::duration<double>(real_clock().now() - start).count();
}

Result<Counts> count(const std::vector<Piece>& pieces) {
  Counts counts;
  Progress progress("counting", bytes_of(pieces));
  for (const Piece& piece : pieces)
    HOLDFAST_DO(for_each_word(piece, std::ref(progress), [&](const Word& word) { counts.add(word, 1); }));
  return counts;
}

void print_moved(const std::vector<Report>& reports) {
  Report sum;
  for (const Report& report : reports) {
    sum.put_bytes += report.put_bytes;
    sum.local_bytes += report.local_bytes;
    sum.shared_bytes += report.shared_bytes;
    sum.fabric_bytes += report.fabric_bytes;
    sum.exchange_seconds = std::max(sum.exchange_seconds, report.exchange_seconds);
  }
  const std::uint64_t moved = sum.local_bytes + sum.shared_bytes + sum.fabric_bytes;
  std::printf("put        %s\n", format_bytes(sum.put_bytes).c_str());
  std::printf("fetched    %s: own memory %s, shared memory %s, fabric %s\n", format_bytes(moved).c_str(),
              format_bytes(sum.local_bytes).c_str(), format_bytes(sum.shared_bytes).c_str(),
              format_bytes(sum.fabric_bytes).c_str());
  std::printf("exchange   %.3f s with merging: %.3f GB/s\n", sum.exchange_seconds,
              static_cast<double>(moved) / 1e9 / std::max(sum.exchange_seconds, 1e-9));
}

/// What rank 0 prints; false where the counts do not agree with its own pass over the files.
Result<bool> summarize(const Arguments& arguments, const std::vector<Report>& reports, const Counts& most) {
  HOLDFAST_TRY(const auto everything, share_of(arguments.paths, 0, 1));
  const std::uint64_t bytes = bytes_of(everything);
  const TimePoint start = real_clock().now();
  HOLDFAST_TRY(const Tally expected, recount(arguments.paths, Progress("recounting", bytes)));
  const double alone_s = seconds_since(start);

  Tally counted;
  std::uint64_t distinct = 0;
  double count_s = 0;
  for (const Report& report : reports) {
    counted.words += report.tally.words;
    counted.fingerprint += report.tally.fingerprint;
    distinct += report.distinct;
    count_s = std::max(count_s, report.count_seconds);
  }
  auto rows = most.sorted();
  rows.resize(std::min<std::size_t>(rows.size(), arguments.top));
  for (const auto& row : rows)
    std::printf("%12llu %.*s\n", static_cast<unsigned long long>(row.times),
                static_cast<int>(row.text.size()), row.text.data());
  std::printf("\nranks      %zu\n", reports.size());
  std::printf("words      %llu, %llu different, in %s\n", static_cast<unsigned long long>(counted.words),
              static_cast<unsigned long long>(distinct), format_bytes(bytes).c_str());
  std::printf("counting   %.3f s: %.3f GB/s\n", count_s,
              static_cast<double>(bytes) / 1e9 / std::max(count_s, 1e-9));
  print_moved(reports);
  std::printf("one rank   %.3f s for reading it all again, without a table\n", alone_s);
  const bool verified = counted == expected;
  std::printf("verified   %s\n", verified ? "yes" : "no");
  if (!verified)
    std::printf("           %llu words expected; fingerprint %016llx, expected %016llx\n",
                static_cast<unsigned long long>(expected.words),
                static_cast<unsigned long long>(counted.fingerprint),
                static_cast<unsigned long long>(expected.fingerprint));
  return verified;
}

/// False where rank 0 found the counts wrong.
Result<bool> run(const Arguments& arguments) {
  HOLDFAST_TRY(Store store, Store::open());
  const Duration timeout = std::chrono::seconds(arguments.timeout_s);
  Report mine;

  HOLDFAST_TRY(const auto pieces, share_of(arguments.paths, store.rank(), store.size()));
  TimePoint start = real_clock().now();
  HOLDFAST_TRY(const Counts counted, count(pieces));
  mine.count_seconds = seconds_since(start);
  mine.read_bytes = bytes_of(pieces);

  HOLDFAST_DO(store.barrier(timeout));  // so that the exchange is timed, not the slowest rank's counting
  start = real_clock().now();
  std::vector<ObjectRef> put;
  HOLDFAST_TRY(const Counts merged, exchange(store, counted, timeout, put));
  mine.exchange_seconds = seconds_since(start);

  const Stats stats = store.stats();
  mine.put_bytes = stats.put_bytes;
  mine.local_bytes = stats.get_bytes_local;
  mine.shared_bytes = stats.get_bytes_shared;
  mine.fabric_bytes = stats.get_bytes_remote;
  mine.tally = merged.tally();
  mine.distinct = merged.distinct();
  Counts most;
  HOLDFAST_TRY(const auto reports, gather(store, mine, merged.top(arguments.top), timeout, put, most));

  bool verified = true;
  if (store.rank() == 0) {
    HOLDFAST_TRY(verified, summarize(arguments, reports, most));
  }
  HOLDFAST_DO(store.barrier(timeout));  // everybody has read what it needed
  for (const ObjectRef& ref : put) HOLDFAST_DO(store.erase(ref, 30s));
  HOLDFAST_DO(
      store.barrier(timeout));  // names have homes at other ranks: nobody leaves before all are erased
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
