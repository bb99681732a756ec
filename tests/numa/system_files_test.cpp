#include "holdfast/numa/system_files.h"

#include <gtest/gtest.h>

#include "fake_system.h"
#include "holdfast/base/units.h"

namespace holdfast::numa {
namespace {

constexpr std::string_view kMeminfo =
    "MemTotal:       8388608 kB\nMemFree:  1024 kB\nMemAvailable:   4194304 kB\n";

TEST(SystemFiles, takes_the_machines_memory_as_the_limit) {
  const FakeSystem system;
  system.write("/proc/meminfo", kMeminfo);
  EXPECT_EQ(system.files().memory_limit().bytes, 8_GiB);
  EXPECT_EQ(system.files().memory_limit().source, "the machine");
  EXPECT_EQ(system.files().memory_available(), 4_GiB);
}

TEST(SystemFiles, heeds_a_version_2_cgroup_and_its_parents) {
  const FakeSystem system;
  system.write("/proc/meminfo", kMeminfo);
  system.write("/proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  system.write("/sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
  system.write("/sys/fs/cgroup/slurm/job_7/memory.max", "2147483648\n");
  system.write("/sys/fs/cgroup/slurm/job_7/memory.current", "1610612736\n");
  system.write("/sys/fs/cgroup/slurm/job_7/memory.stat", "anon 5\ninactive_file 536870912\n");
  const MemoryLimit limit = system.files().memory_limit();
  EXPECT_EQ(limit.bytes, 2_GiB);
  EXPECT_EQ(limit.source, "the cgroup /sys/fs/cgroup/slurm/job_7");
  EXPECT_EQ(system.files().memory_available(), 1_GiB) << "page cache can be had";
}

TEST(SystemFiles, heeds_a_version_1_cgroup) {
  const FakeSystem system;
  system.write("/proc/meminfo", kMeminfo);
  system.write("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/box\n0::/\n");
  system.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  system.write("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1073741824\n");
  system.write("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1073741824\n");
  EXPECT_EQ(system.files().memory_limit().bytes, 1_GiB);
  EXPECT_EQ(system.files().memory_available(), 0U);
}

// In a container the named path lies outside; only the mount itself shows, which is the container's group.
TEST(SystemFiles, finds_the_containers_own_cgroup) {
  const FakeSystem system;
  system.write("/proc/meminfo", kMeminfo);
  system.write("/proc/self/cgroup", "0::/../../outside\n");
  system.write("/sys/fs/cgroup/memory.max", "3221225472\n");
  EXPECT_EQ(system.files().memory_limit().bytes, 3_GiB);
}

TEST(SystemFiles, knows_nothing_rather_than_zero) {
  const FakeSystem system;
  EXPECT_EQ(system.files().memory_limit().bytes, UINT64_MAX);
  EXPECT_EQ(system.files().memory_available(), std::nullopt);
  EXPECT_EQ(system.files().node_available(NodeId{0}), std::nullopt);
  EXPECT_TRUE(system.files().huge_pages(NodeId{0}).empty());
}

TEST(SystemFiles, counts_page_cache_of_a_node_as_available) {
  const FakeSystem system;
  system.write(
      "/sys/devices/system/node/node1/meminfo",
      "Node 1 MemTotal:        1048576 kB\nNode 1 MemFree:         1024 kB\n"
      "Node 1 Active(file):     512 kB\nNode 1 Inactive(file):   256 kB\nNode 1 SReclaimable: 256 kB\n");
  EXPECT_EQ(system.files().node_total(NodeId{1}), 1_GiB);
  EXPECT_EQ(system.files().node_available(NodeId{1}), 2_MiB);
}

TEST(SystemFiles, lists_huge_pages_by_size) {
  const FakeSystem system;
  const std::string folder = "/sys/devices/system/node/node0/hugepages/";
  system.write(folder + "hugepages-1048576kB/nr_hugepages", "4\n");
  system.write(folder + "hugepages-1048576kB/free_hugepages", "3\n");
  system.write(folder + "hugepages-2048kB/nr_hugepages", "100\n");
  system.write(folder + "hugepages-2048kB/free_hugepages", "7\n");
  const auto pages = system.files().huge_pages(NodeId{0});
  ASSERT_EQ(pages.size(), 2U);
  EXPECT_EQ(pages[0].page_bytes, 2_MiB);
  EXPECT_EQ(pages[0].total, 100U);
  EXPECT_EQ(pages[0].free, 7U);
  EXPECT_EQ(pages[1].page_bytes, 1_GiB);
}

TEST(SystemFiles, lists_verbs_devices_with_the_node_where_the_machine_says) {
  const FakeSystem system;
  EXPECT_TRUE(system.files().verbs_devices().empty());
  system.write("/sys/class/infiniband/rxe0/node_type", "1: CA\n");
  system.write("/sys/class/infiniband/mlx5_1/device/numa_node", "-1\n");
  system.write("/sys/class/infiniband/mlx5_0/device/numa_node", "3\n");
  const auto devices = system.files().verbs_devices();
  ASSERT_EQ(devices.size(), 3U);
  EXPECT_EQ(devices[0].name, "mlx5_0");
  EXPECT_EQ(devices[0].kind, "infiniband");
  EXPECT_EQ(devices[0].node, NodeId{3});
  EXPECT_EQ(devices[1].node, std::nullopt);
  EXPECT_EQ(devices[2].name, "rxe0");
  EXPECT_EQ(devices[2].node, std::nullopt);
}

TEST(SystemFiles, tells_when_memfds_get_transparent_pages) {
  struct Case {
    std::string_view global, own;
    bool allowed;
  };
  for (const Case& it :
       {Case{"always within_size advise [never] deny force", "", false},
        Case{"always within_size [advise] never deny force", "", true},
        Case{"[always] within_size advise never deny force", "", true},
        Case{"always within_size advise never [deny] force", "[always] inherit never", false},
        Case{"always within_size advise never deny [force]", "always inherit [never]", true},
        Case{"always within_size advise [never] deny force", "always inherit within_size [advise]", true},
        Case{"always within_size [advise] never deny force", "always [inherit] advise never", true},
        Case{"always within_size [advise] never deny force", "always inherit advise [never]", false}}) {
    const FakeSystem system;
    system.write(SystemFiles::kTransparentMemfdPath, it.global);
    if (!it.own.empty()) {
      system.write("/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/shmem_enabled", it.own);
    }
    EXPECT_EQ(system.files().transparent_memfd_allowed(), it.allowed) << it.global << " / " << it.own;
  }
  EXPECT_FALSE(FakeSystem().files().transparent_memfd_allowed());
}

}  // namespace
}  // namespace holdfast::numa
