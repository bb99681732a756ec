// Forecasts: what arithmetic says must come out, and what costs more must take longer.
#include "holdfast/sim/forecast.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace holdfast::sim {
namespace {

using namespace std::chrono_literals;

ForecastOptions options_of(Pattern pattern, std::uint32_t members) {
  ForecastOptions options;
  options.workload.pattern = pattern;
  options.workload.members = members;
  options.workload.object_bytes = 64_KiB;
  options.workload.objects = 4;
  options.workload.gets = 50;
  options.work.put = {{{8, 500}, {64 * 1024, 10'000}}, 0.1};
  options.work.get_own = options.work.get_shared = {{{8, 100}}, 0.05};
  options.network.piece_bytes = 1 << 20;
  return options;
}

Forecast run(const ForecastOptions& options) {
  const auto made = forecast(options);
  EXPECT_TRUE(made.has_value()) << made.error().message();
  return made.value_or(Forecast{});
}

TEST(Forecast, AShuffleMovesWhatArithmeticSays) {
  ForecastOptions options = options_of(Pattern::shuffle, 8);
  options.members_per_host = 2;
  options.racks = 2;
  const Forecast it = run(options);
  const std::uint64_t bytes = options.workload.object_bytes;
  EXPECT_EQ(it.puts, 8u * 7 * 4);
  EXPECT_EQ(it.put_bytes, it.puts * bytes);
  EXPECT_EQ(it.gets, 8u * 7 * 4);
  // To each of 8: one member beside it, two on the other host of the rack, four in the other rack.
  EXPECT_EQ(it.of(Path::host_memory).payload_bytes, 8u * 1 * 4 * bytes);
  EXPECT_EQ(it.of(Path::same_rack).payload_bytes, 8u * 2 * 4 * bytes);
  EXPECT_EQ(it.of(Path::across_racks).payload_bytes, 8u * 4 * 4 * bytes);
  EXPECT_EQ(it.of(Path::own_memory).gets + it.of(Path::host_fabric).gets, 0u);
  // Headers, checksums, letters and messages come on top, and are little.
  for (const Path path : {Path::same_rack, Path::across_racks}) {
    EXPECT_GT(it.of(path).network_bytes, it.of(path).payload_bytes);
    EXPECT_LT(it.of(path).network_bytes, it.of(path).payload_bytes / 100 * 105);
  }
  // A hold for each object of another member at least.
  EXPECT_GE(it.reference_messages, it.gets);
  EXPECT_GE(it.messages, it.reference_messages);
  // Each of 40 to 300 bytes, and answered.
  EXPECT_GT(it.reference_bytes, it.reference_messages * 40);
  EXPECT_LT(it.reference_bytes, it.reference_messages * 600);
  // What one link sends another takes in; what crosses racks is half from each.
  ASSERT_EQ(it.host_links.size(), 4u);
  NicStats sum;
  for (const NicStats& link : it.host_links) {
    EXPECT_GT(link.bytes_out, 2u * 6 * 4 * bytes);
    sum.bytes_out += link.bytes_out;
    sum.bytes_in += link.bytes_in;
  }
  EXPECT_EQ(sum.bytes_out, sum.bytes_in);
  EXPECT_EQ(sum.bytes_out, it.of(Path::same_rack).network_bytes + it.of(Path::across_racks).network_bytes);
  ASSERT_EQ(it.uplinks.size(), 2u);
  EXPECT_EQ(it.uplinks[0].bytes_out, it.uplinks[1].bytes_in);
  EXPECT_EQ(it.uplinks[0].bytes_out + it.uplinks[1].bytes_out, it.of(Path::across_racks).network_bytes);
}

TEST(Forecast, IsTheSameWheneverItIsAskedFor) {
  for (const Pattern pattern : {Pattern::shuffle, Pattern::broadcast, Pattern::random, Pattern::outofcore}) {
    ForecastOptions options = options_of(pattern, 6);
    options.members_per_host = 2;
    options.network.cores_per_host = 2;
    options.workload.skew = 0.9;
    if (pattern == Pattern::outofcore) {
      options.workload.objects = 40;
      options.arena_bytes = 2_MiB;
      options.disks = 1;
    }
    const Forecast one = run(options), other = run(options);
    EXPECT_EQ(one.trace, other.trace) << to_string(pattern);
    EXPECT_EQ(one.put_time + one.get_time, other.put_time + other.get_time);
    options.workload.seed = 2;
    EXPECT_EQ(run(options).trace != one.trace, options.workload.draws()) << to_string(pattern);
  }
}

TEST(Forecast, ABroadcastIsBoundByTheLinkOfItsSource) {
  ForecastOptions options = options_of(Pattern::broadcast, 9);
  options.workload.object_bytes = 1_MiB;
  options.workload.objects = 8;
  options.network.same_rack.bytes_per_second = 1'000'000'000;
  const Forecast it = run(options);
  EXPECT_EQ(it.get_bytes, 8u * 8 * 1_MiB);
  EXPECT_GE(it.busiest_link_bytes, it.get_bytes);
  EXPECT_GE(it.get_time, Duration(it.get_bytes)) << "a byte takes a nanosecond";
  EXPECT_LT(it.get_time, Duration(it.get_bytes / 10 * 11));
  EXPECT_GT(it.busiest_link_share, 0.9);
  EXPECT_LE(it.busiest_link_share, 1.01);
}

TEST(Forecast, PutsTakeWhatTheyCostTheThread) {
  ForecastOptions options = options_of(Pattern::shuffle, 2);
  options.workload.objects = 100;
  const Forecast it = run(options);
  EXPECT_GE(it.put_time, 100 * options.work.put.of(options.workload.object_bytes));
  options.work.put.points = {{8, 1'000'000}};
  options.work.put.ns_per_byte_beyond = 0;
  EXPECT_GE(run(options).put_time, 100ms);
}

TEST(Forecast, ANamesHomeIsChosenAmongAllMembers) {
  for (const Pattern pattern : {Pattern::shuffle, Pattern::broadcast, Pattern::random}) {
    ForecastOptions options = options_of(pattern, 8);
    const Forecast free = run(options);
    options.work.name_ns_per_member = 1'000'000;
    const Forecast it = run(options);
    // Each puts or gets at least four names, but for letters: seven, got and erased.
    EXPECT_GE(it.put_time, free.put_time + 4 * 8 * 900us) << to_string(pattern);
    EXPECT_GE(it.get_time, free.get_time + 4 * 8 * 900us) << to_string(pattern);
  }
}

TEST(Forecast, MembersThatShareACoreTakeLonger) {
  ForecastOptions options = options_of(Pattern::shuffle, 8);
  options.members_per_host = 8;
  options.network.cores_per_host = 8;
  const Forecast many = run(options);
  options.network.cores_per_host = 1;
  const Forecast one = run(options);
  EXPECT_GE(one.put_time, 8 * 28 * options.work.put.of(options.workload.object_bytes));
  EXPECT_GT(one.put_time, 6 * many.put_time);
  EXPECT_EQ(one.get_bytes, many.get_bytes);
}

TEST(Forecast, WhereCoresAreNotCountedEachThreadHasOne) {
  // Over TCP an owner's agent moves bytes, while its other thread takes in what comes from others.
  ForecastOptions options = options_of(Pattern::shuffle, 8);
  options.members_per_host = 2;
  options.network.one_sided_needs_target = true;
  options.network.same_rack.processor_bytes_per_second = 2'000'000'000;
  const Forecast uncounted = run(options);
  options.network.cores_per_host = 4;  // two threads a member
  const Forecast enough = run(options);
  EXPECT_EQ(uncounted.put_time, enough.put_time);
  EXPECT_EQ(uncounted.get_time, enough.get_time);
}

TEST(Forecast, HostsAreSpreadOverAllRacks) {
  // Host by host: the racks that five hosts are in.
  const auto uplinks = [](std::uint32_t members, std::uint32_t hosts, std::uint32_t racks) {
    ForecastOptions options = options_of(Pattern::shuffle, members);
    options.hosts = hosts;
    options.racks = racks;
    return run(options).uplinks.size();
  };
  for (std::uint32_t racks = 1; racks <= 5; ++racks) EXPECT_EQ(uplinks(5, 5, racks), racks);
  EXPECT_EQ(uplinks(5, 0, 4), 4u) << "without hosts, as many as the members take";
  EXPECT_EQ(uplinks(4, 16, 4), 1u) << "one rack has room for all";
  for (std::uint32_t hosts = 1; hosts < 40; ++hosts)
    for (std::uint32_t racks = 1; racks <= hosts; ++racks) {
      std::vector<std::uint32_t> of(racks);
      for (std::uint32_t host = 0; host < hosts; ++host) ++of.at(rack_of(host, hosts, racks));
      const auto [least, most] = std::ranges::minmax(of);
      EXPECT_EQ(least, hosts / racks) << hosts << " hosts, " << racks << " racks";
      EXPECT_EQ(most, (hosts + racks - 1) / racks) << hosts << " hosts, " << racks << " racks";
    }
}

TEST(Forecast, WhatDoesNotFitGoesToDiskAndComesBack) {
  ForecastOptions options = options_of(Pattern::outofcore, 4);
  options.workload.objects = 64;
  options.workload.gets = 100;
  options.arena_bytes = 2_MiB;  // half of them
  options.disks = 1;
  const Forecast it = run(options);
  EXPECT_GE(it.spilled_bytes, 4 * (64 * 64_KiB - 2_MiB));
  EXPECT_GT(it.restores, 0u);
  EXPECT_GT(it.gets_from_disk, 0u);
  EXPECT_GE(it.gets_from_disk, it.restores / 2);
  EXPECT_DOUBLE_EQ(it.hit_ratio(), 1 - static_cast<double>(it.gets_from_disk) / 400);
  options.disk.read_bytes_per_second = options.disk.write_bytes_per_second = 20'000'000;
  EXPECT_GT(run(options).put_time, 4 * it.put_time) << "a hundred times slower disks";
}

TEST(Forecast, DisksOfAHostAreSharedByItsMembers) {
  ForecastOptions options = options_of(Pattern::outofcore, 4);
  options.workload.objects = 64;
  options.arena_bytes = 2_MiB;
  options.members_per_host = 4;
  options.disk.write_bytes_per_second = 100'000'000;
  options.disks = 1;
  const Forecast one = run(options);
  // What must be written, by one disk.
  EXPECT_GE(one.put_time, Duration(4 * (64 * 64_KiB - 2_MiB) * 10));
  options.disks = 4;
  EXPECT_LT(run(options).put_time, one.put_time / 2);
}

TEST(Forecast, AllDisksOfAHostAreUsedByThoseWhoAreThere) {
  const auto put_time = [](std::uint32_t members, std::uint32_t per_host, std::uint32_t disks) {
    ForecastOptions options = options_of(Pattern::outofcore, members);
    options.workload.objects = 200;
    options.workload.gets = 1;
    options.arena_bytes = 2_MiB;
    options.members_per_host = per_host;
    options.disk.write_bytes_per_second = 10'000'000;
    options.disks = disks;
    return static_cast<double>(run(options).put_time.count());
  };
  EXPECT_NEAR(put_time(4, 4, 7) / put_time(4, 4, 4), 4.0 / 7, 0.03) << "seven disks, not four of them";
  EXPECT_NEAR(put_time(3, 8, 2) / put_time(3, 8, 6), 3, 0.3);
  EXPECT_EQ(put_time(3, 8, 2), put_time(3, 3, 2)) << "empty places take no share";
  EXPECT_NEAR(put_time(1, 1, 8) / put_time(1, 1, 16), 2, 0.1);
}

TEST(Forecast, SaysWhatIsWrong) {
  const auto error_of = [](const ForecastOptions& options) {
    const auto made = forecast(options);
    return made ? std::string("none") : made.error().message();
  };
  ForecastOptions options = options_of(Pattern::shuffle, 1);
  EXPECT_NE(error_of(options).find("1 members"), std::string::npos) << error_of(options);
  options = options_of(Pattern::random, Workload::kMostMembers + 1);
  EXPECT_NE(error_of(options).find("members"), std::string::npos);
  options = options_of(Pattern::outofcore, 2);
  EXPECT_NE(error_of(options).find("disks"), std::string::npos) << error_of(options);
  options.disks = 1;
  options.arena_bytes = 1_GiB;
  EXPECT_NE(error_of(options).find("fit into an arena"), std::string::npos) << error_of(options);
  options = options_of(Pattern::random, 2);
  options.arena_bytes = 128_KiB;
  EXPECT_NE(error_of(options).find("do not fit"), std::string::npos) << error_of(options);
  options.arena_bytes = 0;
  options.racks = 3;
  EXPECT_NE(error_of(options).find("3 racks for 2 hosts"), std::string::npos) << error_of(options);
  options.racks = 1;
  options.hosts = 1;
  EXPECT_NE(error_of(options).find("2 members do not fit on 1 hosts"), std::string::npos);
  options.hosts = 0;
  options.workload.skew = -1;
  EXPECT_NE(error_of(options).find("skew"), std::string::npos);
}

TEST(Draws, FollowZipf) {
  Workload workload;
  workload.pattern = Pattern::random;
  workload.members = 4;
  workload.objects = 25;
  workload.gets = 10'000;
  const auto counts = [&] {
    std::map<std::uint32_t, std::uint64_t> drawn;
    const Draws draws(workload);
    for (std::uint32_t rank = 0; rank < workload.members; ++rank)
      for (const std::uint32_t number : draws.of(rank)) ++drawn[number];
    EXPECT_LT(drawn.rbegin()->first, workload.all_objects());
    return drawn;
  };
  workload.skew = 0;
  for (const auto& [number, times] : counts()) {
    EXPECT_GT(times, 300u) << number;  // 400 expected, 20 the standard deviation
    EXPECT_LT(times, 500u) << number;
  }
  workload.skew = 1;
  auto drawn = counts();  // the harmonic number of 100 is 5.187
  EXPECT_NEAR(static_cast<double>(drawn[0]), 40'000 / 5.187, 400);
  EXPECT_NEAR(static_cast<double>(drawn[9]), 4'000 / 5.187, 140);
}

TEST(CostCurve, IsLinearBetweenWhatWasMeasured) {
  const CostCurve curve{{{10, 100}, {110, 300}}, 3};
  EXPECT_EQ(curve.of(0), 100ns) << "below the first point, as much";
  EXPECT_EQ(curve.of(10), 100ns);
  EXPECT_EQ(curve.of(60), 200ns);
  EXPECT_EQ(curve.of(110), 300ns);
  EXPECT_EQ(curve.of(111), 303ns);
}

}  // namespace
}  // namespace holdfast::sim
