#include "placement.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <memory>

namespace holdfast::numa {
namespace {

constexpr std::size_t kBitsPerWord = sizeof(unsigned long) * CHAR_BIT;
// As many processors as any Linux can be built for.
constexpr int kMostCpus = 8192;

struct CpuSetDeleter {
  void operator()(cpu_set_t* set) const noexcept { CPU_FREE(set); }
};

}  // namespace

int bind_memory(std::span<std::byte> range, NodeId node, Binding binding) noexcept {
  // As many nodes as any Linux can be built for (MAX_NUMNODES is 1024).
  std::array<unsigned long, 1024 / kBitsPerWord> mask{};
  if (node.value / kBitsPerWord >= mask.size()) return EINVAL;
  mask[node.value / kBitsPerWord] = 1UL << (node.value % kBitsPerWord);
  const int mode = binding == Binding::strict ? MPOL_BIND : MPOL_PREFERRED;
  // The kernel takes the number of bits plus one.
  const long rc =
      ::syscall(SYS_mbind, range.data(), range.size(), mode, mask.data(), mask.size() * kBitsPerWord + 1, 0U);
  return rc == 0 ? 0 : errno;
}

PagesSeen look_at_pages(std::span<const std::byte> range, std::uint64_t page_bytes, NodeId node,
                        std::uint64_t most) {
  constexpr std::size_t kBatch = 1024;
  std::array<const void*, kBatch> pages{};
  std::array<int, kBatch> status{};
  const std::uint64_t all = (range.size() + page_bytes - 1) / page_bytes;
  const std::uint64_t step = page_bytes * std::max<std::uint64_t>((all + most - 1) / most, 1);
  PagesSeen seen;
  for (std::uint64_t at = 0; at < range.size();) {
    std::size_t count = 0;
    for (; count < kBatch && at < range.size(); at += step) pages[count++] = range.data() + at;
    // Without target nodes the call only reports: a node, or a negative errno for a page that is not there.
    if (::syscall(SYS_move_pages, 0, count, pages.data(), nullptr, status.data(), 0) != 0) return {};
    for (const int where : std::span(status).first(count)) {
      if (where < 0) continue;
      ++seen.there;
      if (static_cast<std::uint32_t>(where) != node.value) ++seen.elsewhere;
    }
  }
  return seen;
}

void keep_thread_on(const std::vector<std::uint32_t>& cpus) {
  const std::size_t bytes = CPU_ALLOC_SIZE(kMostCpus);
  const std::unique_ptr<cpu_set_t, CpuSetDeleter> allowed(CPU_ALLOC(kMostCpus));
  const std::unique_ptr<cpu_set_t, CpuSetDeleter> wanted(CPU_ALLOC(kMostCpus));
  if (!allowed || !wanted || ::sched_getaffinity(0, bytes, allowed.get()) != 0) return;
  CPU_ZERO_S(bytes, wanted.get());
  for (const std::uint32_t cpu : cpus) CPU_SET_S(cpu, bytes, wanted.get());
  CPU_AND_S(bytes, wanted.get(), wanted.get(), allowed.get());
  if (CPU_COUNT_S(bytes, wanted.get()) > 0) ::sched_setaffinity(0, bytes, wanted.get());
}

void lower_thread_priority() noexcept {
  constexpr int kNice = 10;
  // Linux keeps the nice value a thread, whatever POSIX says; 0 with PRIO_PROCESS is the calling one.
  // A process that is nicer already stays so.
  ::setpriority(PRIO_PROCESS, 0, std::max(kNice, ::getpriority(PRIO_PROCESS, 0)));
}

}  // namespace holdfast::numa
