// What the kernel itself says of NUMA nodes and of pages, read here anew: a test must not ask the code it
// tests.
#pragma once

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::test {

inline std::string first_line(const std::string& path) {
  std::string line;
  std::ifstream in(path);
  std::getline(in, line);
  return line;
}

/// "0-2,5" of sysfs.
inline std::vector<std::uint32_t> numbers(const std::string& list) {
  std::vector<std::uint32_t> all;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) {
    const auto dash = part.find('-');
    const std::uint32_t first = static_cast<std::uint32_t>(std::stoul(part));
    const std::uint32_t last =
        dash == std::string::npos ? first : static_cast<std::uint32_t>(std::stoul(part.substr(dash + 1)));
    for (std::uint32_t n = first; n <= last; ++n) all.push_back(n);
  }
  return all;
}

inline std::string node_path(std::uint32_t node) {
  return "/sys/devices/system/node/node" + std::to_string(node);
}

inline std::vector<std::uint32_t> nodes_online() {
  return numbers(first_line("/sys/devices/system/node/online"));
}
inline std::vector<std::uint32_t> nodes_with_memory() {
  return numbers(first_line("/sys/devices/system/node/has_memory"));
}
inline std::vector<std::uint32_t> cpus_of(std::uint32_t node) {
  const std::string list = first_line(node_path(node) + "/cpulist");
  return list.empty() ? std::vector<std::uint32_t>{} : numbers(list);
}

/// The node with memory that is nearest to `from` by the kernel's distances, without those in `full`; the
/// lower number where two are as near.
inline std::optional<std::uint32_t> nearest_node(std::uint32_t from, const std::set<std::uint32_t>& full) {
  std::istringstream row(first_line(node_path(from) + "/distance"));
  const auto online = nodes_online(), usable = nodes_with_memory();
  std::optional<std::uint32_t> best;
  unsigned best_distance = 0, distance = 0;
  for (std::size_t i = 0; i < online.size() && row >> distance; ++i) {
    if (full.contains(online[i]) || std::ranges::find(usable, online[i]) == usable.end()) continue;
    if (!best || distance < best_distance) best = online[i], best_distance = distance;
  }
  return best;
}

/// Free huge pages of a node.
inline std::uint64_t free_huge_pages(std::uint32_t node, std::uint64_t page_bytes) {
  const std::string count = first_line(node_path(node) + "/hugepages/hugepages-" +
                                       std::to_string(page_bytes / 1024) + "kB/free_hugepages");
  return count.empty() ? 0 : std::stoull(count);
}

/// How many of the pages that hold `bytes` lie on which node, by move_pages(2); a page that is not there
/// counts under its negative error.
inline std::map<int, std::size_t> pages_by_node(std::span<const std::byte> bytes) {
  constexpr std::uintptr_t kPage = 4096;
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()) / kPage * kPage;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size();
  std::vector<void*> pages;
  for (std::uintptr_t at = begin; at < end; at += kPage) pages.push_back(reinterpret_cast<void*>(at));
  std::vector<int> status(pages.size(), -1000);
  std::map<int, std::size_t> counts;
  if (::syscall(SYS_move_pages, 0, pages.size(), pages.data(), nullptr, status.data(), 0) != 0)
    return {{-2000, pages.size()}};
  for (const int where : status) ++counts[where];
  return counts;
}

/// Bytes of the pages that `address` is mapped with, by /proc/self/smaps; 0 where it is not mapped.
inline std::uint64_t kernel_page_bytes(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0, last = 0;
    char dash = 0;
    std::istringstream in(line);
    if (in >> std::hex >> first >> dash >> last && dash == '-') inside = first <= wanted && wanted < last;
    if (inside && line.starts_with("KernelPageSize:")) return std::stoull(line.substr(15)) * 1024;
  }
  return 0;
}

/// Keeps the calling thread on one processor while it lives.
class OnCpu {
 public:
  explicit OnCpu(std::uint32_t cpu) {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    works_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
  }
  ~OnCpu() { ::sched_setaffinity(0, sizeof before_, &before_); }
  OnCpu(const OnCpu&) = delete;
  OnCpu& operator=(const OnCpu&) = delete;
  bool works() const noexcept { return works_; }

 private:
  cpu_set_t before_{};
  bool works_ = false;
};

}  // namespace holdfast::test
