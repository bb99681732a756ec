#include "holdfast/numa/system_files.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>

namespace holdfast::numa {
namespace {

std::optional<std::uint64_t> leading_number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

/// The number behind `key` in a file of "Key:   123 kB" or "key 123" lines, without its unit.
std::optional<std::uint64_t> field(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    const bool starts_word = at == 0 || text[at - 1] == '\n' || text[at - 1] == ' ';
    if (starts_word) return leading_number(text.substr(at + key.size()));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> kib_field(std::string_view text, std::string_view key) {
  const auto value = field(text, key);
  if (!value) return std::nullopt;
  return *value << 10;
}

/// The word in brackets of "always [madvise] never".
std::string_view chosen_word(std::string_view text) {
  const std::size_t open = text.find('['), close = text.find(']');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  return text.substr(open + 1, close - open - 1);
}

}  // namespace

/// One memory cgroup that holds this process: files that give its limit and use.
struct SystemFiles::Cgroup {
  std::string directory;
  bool version_2 = false;
};

std::optional<std::string> SystemFiles::read(std::string_view path) const {
  std::ifstream file(root_ + std::string(path));
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::optional<std::uint64_t> SystemFiles::read_number(std::string_view path) const {
  const auto text = read(path);
  return text ? leading_number(*text) : std::nullopt;
}

std::vector<SystemFiles::Cgroup> SystemFiles::memory_cgroups() const {
  std::vector<Cgroup> found;
  const auto own = read("/proc/self/cgroup");
  if (!own) return found;
  std::istringstream lines(*own);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool version_2 = controllers == ",,";
    if (!version_2 && controllers.find(",memory,") == std::string::npos) continue;
    std::string path = line.substr(second + 1);
    const std::string_view mount = version_2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    // Limits of the parents hold, too. In a container the path may not exist below the mount; then only
    // the mount itself, which is the container's own group, is found.
    for (;;) {
      if (path == "/") path.clear();
      found.push_back({std::string(mount) + path, version_2});
      if (path.empty()) break;
      path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
  }
  return found;
}

MemoryLimit SystemFiles::memory_limit() const {
  MemoryLimit limit;
  if (const auto meminfo = read("/proc/meminfo")) {
    limit.bytes = kib_field(*meminfo, "MemTotal:").value_or(UINT64_MAX);
  }
  for (const Cgroup& group : memory_cgroups()) {
    // "max" in version 2 is no number; "no limit" in version 1 is a number beyond all memory.
    const auto bytes =
        read_number(group.directory + (group.version_2 ? "/memory.max" : "/memory.limit_in_bytes"));
    if (bytes && *bytes < limit.bytes) limit = {*bytes, "the cgroup " + group.directory};
  }
  return limit;
}

std::optional<std::uint64_t> SystemFiles::memory_available() const {
  const auto meminfo = read("/proc/meminfo");
  if (!meminfo) return std::nullopt;
  auto available = kib_field(*meminfo, "MemAvailable:");
  for (const Cgroup& group : memory_cgroups()) {
    const std::string& at = group.directory;
    const auto limit = read_number(at + (group.version_2 ? "/memory.max" : "/memory.limit_in_bytes"));
    const auto used = read_number(at + (group.version_2 ? "/memory.current" : "/memory.usage_in_bytes"));
    if (!limit || !used) continue;
    // Page cache that the kernel would drop before it kills anybody.
    const auto stat = read(at + "/memory.stat");
    const std::uint64_t cache =
        stat ? field(*stat, group.version_2 ? "inactive_file" : "total_inactive_file").value_or(0) : 0;
    const std::uint64_t held = *used - std::min(*used, cache);
    const std::uint64_t left = *limit - std::min(*limit, held);
    available = std::min(available.value_or(UINT64_MAX), left);
  }
  return available;
}

std::optional<std::uint64_t> SystemFiles::node_available(NodeId node) const {
  const auto meminfo = read(fmt::format("/sys/devices/system/node/node{}/meminfo", node.value));
  if (!meminfo) return std::nullopt;
  const auto free = kib_field(*meminfo, "MemFree:");
  if (!free) return std::nullopt;
  return *free + kib_field(*meminfo, "Inactive(file):").value_or(0) +
         kib_field(*meminfo, "Active(file):").value_or(0) + kib_field(*meminfo, "SReclaimable:").value_or(0);
}

std::optional<std::uint64_t> SystemFiles::node_total(NodeId node) const {
  const auto meminfo = read(fmt::format("/sys/devices/system/node/node{}/meminfo", node.value));
  return meminfo ? kib_field(*meminfo, "MemTotal:") : std::nullopt;
}

std::vector<HugePages> SystemFiles::huge_pages(NodeId node) const {
  std::vector<HugePages> found;
  const std::string folder = fmt::format("/sys/devices/system/node/node{}/hugepages", node.value);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir((root_ + folder).c_str()), ::closedir);
  if (!entries) return found;
  constexpr std::string_view kPrefix = "hugepages-";
  // A directory stream of our own: readdir is safe.
  while (const dirent* entry = ::readdir(entries.get())) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name = entry->d_name;
    if (!name.starts_with(kPrefix)) continue;
    const auto kib = leading_number(name.substr(kPrefix.size()));
    if (!kib) continue;
    HugePages pages{*kib << 10, 0, 0};
    pages.total = read_number(fmt::format("{}/{}/nr_hugepages", folder, name)).value_or(0);
    pages.free = read_number(fmt::format("{}/{}/free_hugepages", folder, name)).value_or(0);
    found.push_back(pages);
  }
  std::sort(found.begin(), found.end(),
            [](const HugePages& a, const HugePages& b) { return a.page_bytes < b.page_bytes; });
  return found;
}

std::vector<Nic> SystemFiles::verbs_devices() const {
  constexpr std::string_view kFolder = "/sys/class/infiniband";
  std::vector<Nic> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir((root_ + std::string(kFolder)).c_str()),
                                                    ::closedir);
  if (!entries) return found;
  while (const dirent* entry = ::readdir(entries.get())) {  // NOLINT(concurrency-mt-unsafe): as above
    if (entry->d_name[0] == '.') continue;
    Nic nic{.name = entry->d_name, .kind = "infiniband", .node = std::nullopt};
    // "-1", which is no number here, where the machine does not say.
    if (const auto node = read_number(fmt::format("{}/{}/device/numa_node", kFolder, nic.name)))
      nic.node = NodeId{static_cast<std::uint32_t>(*node)};
    found.push_back(std::move(nic));
  }
  std::ranges::sort(found, {}, &Nic::name);
  return found;
}

bool SystemFiles::transparent_memfd_allowed() const {
  const auto allows = [](std::string_view word) {
    return word == "always" || word == "within_size" || word == "advise" || word == "force";
  };
  const auto global = read(kTransparentMemfdPath);
  if (!global) return false;
  const std::string_view word = chosen_word(*global);
  if (word == "force") return true;
  if (word == "deny") return false;
  // Since Linux 6.11 each size has a setting of its own; "inherit" refers to the global one.
  const auto own = read("/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/shmem_enabled");
  if (own && chosen_word(*own) != "inherit") return allows(chosen_word(*own));
  return allows(word);
}

std::string SystemFiles::huge_pages_path(NodeId node, std::uint64_t page_bytes) {
  return fmt::format("/sys/devices/system/node/node{}/hugepages/hugepages-{}kB/nr_hugepages", node.value,
                     page_bytes >> 10);
}

}  // namespace holdfast::numa
