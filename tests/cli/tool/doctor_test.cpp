// What `holdfast doctor` makes of machines: each check on a machine with one thing wrong.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "cli/doctor/checks.h"
#include "cli/doctor/doctor_command.h"
#include "holdfast/base/units.h"

namespace holdfast::cli {
namespace {

fabric::OfiCandidate provider(std::string name, bool rdma, bool usable) {
  fabric::OfiCandidate candidate;
  candidate.info.provider = std::move(name);
  candidate.info.domain = "eth0";
  candidate.info.rdma = rdma;
  candidate.info.exposes_lazily = !rdma;
  candidate.info.needs_attach = rdma;
  candidate.usable = usable;
  candidate.reason = usable ? "the best there is" : "passed over";
  return candidate;
}

/// A machine nothing is to be said about.
Machine healthy() {
  Machine machine;
  numa::Node node;
  node.memory_bytes = 64_GiB;
  node.huge_pages = {{.page_bytes = 2_MiB, .total = 1024, .free = 1024}};
  machine.nodes = {node};
  machine.transparent_memfd = true;
  machine.memory_limit = 64_GiB;
  machine.memory_limit_source = "the machine";
  machine.memory_available = 32_GiB;
  machine.shm_bytes = 32_GiB;
  machine.providers = std::vector{provider("net", false, true)};
  machine.clock_source = "tsc";
  return machine;
}

Finding finding(const Machine& machine, std::string_view check) {
  const auto findings = check_machine(machine);
  const auto found = std::ranges::find(findings, check, &Finding::check);
  if (found == findings.end()) {
    ADD_FAILURE() << "no check " << check;
    return {};
  }
  return *found;
}

/// The check says `health`, alone decides the verdict, and names a fix with `fix` in it.
void expect(const Machine& machine, std::string_view check, Health health, std::string_view fix) {
  const Finding found = finding(machine, check);
  EXPECT_EQ(found.health, health) << found.found;
  EXPECT_NE(found.fix.find(fix), std::string::npos) << found.fix;
  EXPECT_EQ(worst(check_machine(machine)), health);
}

TEST(doctor, has_nothing_to_say_of_a_healthy_machine) {
  for (const Finding& finding : check_machine(healthy())) {
    EXPECT_EQ(finding.health, Health::ok) << finding.check << ": " << finding.found;
    EXPECT_TRUE(finding.fix.empty()) << finding.fix;
    EXPECT_FALSE(finding.found.empty()) << finding.check;
  }
}

TEST(doctor, finds_a_misspelt_variable) {
  Machine machine = healthy();
  machine.options = fail(Code::invalid, "Environment::read", "unknown variable HOLDFAST_ARENNA");
  EXPECT_NE(finding(machine, "environment").found.find("HOLDFAST_ARENNA"), std::string::npos);
  expect(machine, "environment", Health::problem, "holdfast --help");
}

TEST(doctor, finds_a_log_level_that_does_not_exist) {
  Machine machine = healthy();
  machine.log_level = fail(Code::invalid, "parse_log_level", "\"loud\" is not a log level");
  EXPECT_NE(finding(machine, "log level").found.find("HOLDFAST_LOG: \"loud\""), std::string::npos);
  expect(machine, "log level", Health::problem, "HOLDFAST_LOG=warning");
}

TEST(doctor, says_which_rank_a_program_would_be) {
  Machine machine = healthy();
  machine.launch = fabric::Identity{.rank = 3, .size = 8, .launcher = "rendezvous"};
  EXPECT_EQ(finding(machine, "launcher").found, "rendezvous: rank 3 of 8");
  machine.launch_unasked = "this is a rank of a job";
  EXPECT_EQ(finding(machine, "launcher").found, "not asked: this is a rank of a job");
  EXPECT_EQ(worst(check_machine(machine)), Health::ok);
}

TEST(doctor, finds_a_launcher_that_cannot_be_used) {
  Machine machine = healthy();
  machine.launch = fail(Code::invalid, "Launch::find", "HOLDFAST_LAUNCHER=\"zz\" is none of pmix, ...");
  EXPECT_NE(finding(machine, "launcher").found.find("\"zz\""), std::string::npos);
  expect(machine, "launcher", Health::problem, "unset HOLDFAST_LAUNCHER");
}

TEST(doctor, finds_last_that_a_store_does_not_open_and_names_what_is_set) {
  Machine machine = healthy();
  EXPECT_EQ(check_machine(machine).back().check, "store");
  machine.opened = fail(Code::invalid, "Arena::create", "there is no node 9");
  EXPECT_NE(finding(machine, "store").found.find("there is no node 9"), std::string::npos);
  expect(machine, "store", Health::problem, "the problems above");
  machine.variables = {"HOLDFAST_NODES=9", "HOLDFAST_VERIFY=never"};
  expect(machine, "store", Health::problem, "HOLDFAST_NODES=9 HOLDFAST_VERIFY=never");
  machine.providers = fail(Code::unsupported, "probe_ofi", "no provider");
  expect(machine, "store", Health::problem, "the problems above");
}

TEST(doctor, warns_where_a_store_opens_otherwise_than_it_should) {
  Machine machine = healthy();
  machine.opened_provider = machine.providers->front().info.provider;
  EXPECT_EQ(finding(machine, "store").health, Health::ok);
  machine.opened_provider = "net";
  machine.providers->front().info.provider = "verbs;ofi_rxm";
  EXPECT_NE(finding(machine, "store").found.find("over net: verbs;ofi_rxm"), std::string::npos);
  expect(machine, "store", Health::warning, "HOLDFAST_PROVIDER='verbs;ofi_rxm' holdfast doctor");
  machine.unbound_nodes = {"node 1 has 75 MiB free"};
  expect(machine, "store", Health::warning, "");
  EXPECT_NE(finding(machine, "store").found.find("node 1 has 75 MiB free"), std::string::npos);
}

TEST(doctor, finds_that_no_provider_fits) {
  Machine machine = healthy();
  machine.providers = std::vector{provider("shm", false, false)};
  expect(machine, "provider", Health::problem, "libfabric1");
  machine.providers = fail(Code::unsupported, "probe_ofi", "no provider");
  expect(machine, "provider", Health::problem, "libfabric1");
}

TEST(doctor, warns_of_tcp_beside_an_rdma_device_unless_it_was_asked_for) {
  Machine machine = healthy();
  machine.nics = {{.name = "eth0", .kind = "ethernet", .node = {}}};
  EXPECT_EQ(finding(machine, "provider").health, Health::ok);
  machine.nics.push_back({.name = "mlx5_0", .kind = "infiniband", .node = {}});
  expect(machine, "provider", Health::warning, "ibv_devinfo");
  EXPECT_NE(finding(machine, "provider").found.find("mlx5_0"), std::string::npos);
  machine.options->provider = "net";
  EXPECT_EQ(finding(machine, "provider").health, Health::ok);
}

TEST(doctor, finds_an_arena_that_does_not_fit) {
  Machine machine = healthy();
  machine.memory_limit = 512_MiB;
  machine.memory_limit_source = "the cgroup /job";
  expect(machine, "memory", Health::problem, "HOLDFAST_ARENA=128MiB");
  EXPECT_NE(finding(machine, "memory").found.find("the cgroup /job"), std::string::npos);
}

TEST(doctor, warns_of_an_arena_larger_than_what_is_free) {
  Machine machine = healthy();
  machine.memory_available = 400_MiB;
  expect(machine, "memory", Health::warning, "HOLDFAST_ARENA=100MiB");
}

TEST(doctor, finds_memfds_refused) {
  Machine machine = healthy();
  machine.memfd_error = EPERM;
  expect(machine, "shared memory", Health::problem, "seccomp");
}

TEST(doctor, warns_of_too_few_huge_pages_and_fails_where_they_are_required) {
  constexpr const char* kFix =
      "echo 1533 > /sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages";
  Machine machine = healthy();
  machine.nodes[0].huge_pages[0].free = 3;  // 1021 are in use
  expect(machine, "huge pages", Health::warning, kFix);
  machine.options->arena.pages = *numa::PagePolicy::parse("require:2MiB");
  expect(machine, "huge pages", Health::problem, kFix);
  machine.options->arena.pages = *numa::PagePolicy::parse("base");
  EXPECT_EQ(worst(check_machine(machine)), Health::ok);
}

TEST(doctor, looks_for_huge_pages_on_each_node_of_the_arena) {
  Machine machine = healthy();
  machine.nodes.push_back({.id = numa::NodeId{1}, .memory_bytes = 64_GiB, .huge_pages = {{2_MiB, 100, 100}}});
  machine.nodes.push_back({.id = numa::NodeId{2}});  // without memory: no segment there
  expect(machine, "huge pages", Health::warning, "echo 256 > /sys/devices/system/node/node1/");
  EXPECT_NE(finding(machine, "huge pages").found.find("too few on node 1;"), std::string::npos);
  machine.options->arena.nodes = {numa::NodeId{0}};
  EXPECT_EQ(finding(machine, "huge pages").health, Health::ok);
  // Pages of 1 GiB hold no smaller segment, unless they are required.
  machine.options->arena.nodes = {numa::NodeId{1}};
  machine.options->arena.bytes = 512_MiB;
  machine.nodes[1].huge_pages.push_back({1_GiB, 4, 4});
  EXPECT_EQ(finding(machine, "huge pages").health, Health::warning);
  machine.options->arena.pages = *numa::PagePolicy::parse("require:1GiB");
  EXPECT_EQ(finding(machine, "huge pages").health, Health::ok);
}

TEST(doctor, warns_where_memfds_get_no_transparent_huge_pages) {
  Machine machine = healthy();
  machine.transparent_memfd = false;
  expect(machine, "transparent huge pages", Health::warning, "shmem_enabled");
  machine.options->arena.pages = *numa::PagePolicy::parse("require:transparent");
  expect(machine, "transparent huge pages", Health::problem, "shmem_enabled");
}

TEST(doctor, finds_too_little_locked_memory_only_where_a_device_needs_it) {
  Machine machine = healthy();
  machine.locked_memory = 8_MiB;
  EXPECT_EQ(finding(machine, "locked memory").health, Health::ok);
  machine.providers = std::vector{provider("verbs;ofi_rxm", true, true)};
  expect(machine, "locked memory", Health::problem, "ulimit -l");
  machine.most_locked_memory = 8_MiB;
  expect(machine, "locked memory", Health::problem, "limits.conf");
}

TEST(doctor, counts_the_arena_once_and_the_buffers_of_all_endpoints_as_locked) {
  Machine machine = healthy();
  machine.providers = std::vector{provider("verbs;ofi_rxm", true, true)};
  const StoreOptions& options = *machine.options;
  const std::uint64_t wanted =
      options.arena.bytes + (options.reading_endpoints + 1) * fabric::kPinnedAnEndpoint;
  machine.locked_memory = wanted;
  EXPECT_EQ(finding(machine, "locked memory").health, Health::ok);
  machine.locked_memory = wanted - 1;
  EXPECT_EQ(finding(machine, "locked memory").health, Health::problem);
}

TEST(doctor, warns_of_a_small_or_missing_dev_shm) {
  Machine machine = healthy();
  machine.shm_bytes = 1_MiB;
  expect(machine, "/dev/shm", Health::warning, "remount");
  machine.shm_bytes.reset();
  expect(machine, "/dev/shm", Health::warning, "mount -t tmpfs");
}

TEST(doctor, warns_of_a_slow_clock) {
  Machine machine = healthy();
  machine.clock_source = "hpet";
  expect(machine, "clock", Health::warning, "current_clocksource");
}

TEST(doctor, warns_where_io_uring_is_refused) {
  Machine machine = healthy();
  machine.io_uring_error = ENOSYS;
  expect(machine, "io_uring", Health::warning, "io_uring_disabled");
}

TEST(doctor, lists_every_provider_and_every_check_in_both_forms) {
  Machine machine = healthy();
  machine.providers = std::vector{provider("net", false, true), provider("shm", false, false)};
  machine.clock_source = "hpet";
  const auto findings = check_machine(machine);
  const std::string text = doctor_text(machine, findings);
  const auto json = nlohmann::json::parse(doctor_json(machine, findings));
  EXPECT_EQ(json["health"], "warning");
  ASSERT_EQ(json["checks"].size(), findings.size());
  for (std::size_t i = 0; i < findings.size(); ++i) {
    EXPECT_EQ(json["checks"][i]["check"], findings[i].check);
    EXPECT_EQ(json["checks"][i]["fix"], findings[i].fix);
    EXPECT_NE(text.find(findings[i].check + ": " + findings[i].found), std::string::npos);
    EXPECT_NE(text.find(findings[i].fix), std::string::npos);
  }
  ASSERT_EQ(json["providers"].size(), 2U);
  EXPECT_EQ(json["providers"][1]["usable"], false);
  EXPECT_NE(text.find("  + net on eth0: the best there is\n  - shm on eth0: passed over\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace holdfast::cli
