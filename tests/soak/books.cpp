#include "tests/soak/books.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace holdfast::soak {
namespace {

// What the heap may differ by: tables keep the buckets of their largest size, and threads their arenas'
// pages.
constexpr std::uint64_t kHeapPlay = 4_MiB;
// Sanitizers keep what was freed, and books of their own that grow; there LeakSanitizer looks for leaks.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHeapTells = false;
#else
constexpr bool kHeapTells = true;
#endif
// The caches of the arena's allocator, a few small blocks for each thread.
constexpr std::uint64_t kArenaPlay = 256_KiB;
// In a directory: the one that is written next, and a spare one.
constexpr std::uint64_t kMostSpillFiles = 2;

std::uint64_t status_field(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoull(line.substr(field.size()));
  return 0;
}

}  // namespace

Books Books::of(const Store& store) {
  const Stats stats = store.stats();
  Books books;
  ::malloc_trim(0);
  books.heap_bytes = status_field("RssAnon:") * 1024;
  namespace fs = std::filesystem;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (!name.starts_with("iou-wrk")) ++books.threads;
  }
  for (const auto& descriptor : fs::directory_iterator("/proc/self/fd")) {
    std::error_code closed;  // the one that this loop reads from
    const std::string target = fs::read_symlink(descriptor, closed);
    ++(target.starts_with("socket:")                ? books.sockets
       : target.find(".spill") != std::string::npos ? books.spill_files
                                                    : books.descriptors);
  }
  for (const NodeStats& node : stats.nodes) {
    books.arena_bytes += node.bytes_used - std::min(node.bytes_used, node.bytes_cached);
    books.pinned_bytes += node.bytes_pinned;
  }
  books.kept = stats.objects - stats.cached;
  books.held_elsewhere = stats.held_elsewhere;
  books.names = stats.names;
  books.waiters = stats.waiters;
  books.puts_waiting = stats.puts_waiting;
  books.awaiting_unpin = stats.blocks_awaiting_unpin;
  books.on_disk = stats.on_disk;
  books.spilling = stats.spilling;
  books.quarantined = stats.quarantined;
  for (const SpillDirectoryStats& directory : stats.spill_directories)
    books.disk_bytes += directory.bytes_live;
  return books;
}

bool Books::at_rest() const noexcept {
  return kept == 0 && held_elsewhere == 0 && names == 0 && waiters == 0 && puts_waiting == 0 &&
         awaiting_unpin == 0 && pinned_bytes == 0 && on_disk == 0 && spilling == 0 && quarantined == 0 &&
         disk_bytes == 0;
}

std::string Books::text() const {
  return fmt::format(
      "heap {}, {} sockets, {} spill files and {} other descriptors, {} threads, arena {}, kept {}, held "
      "elsewhere {}, names {}, "
      "waiters {}, puts "
      "waiting {}, awaiting unpin {}, pinned {}, on disk {} ({}), spilling {}, quarantined {}",
      format_bytes(heap_bytes), sockets, spill_files, descriptors, threads, format_bytes(arena_bytes), kept,
      held_elsewhere, names, waiters, puts_waiting, awaiting_unpin, format_bytes(pinned_bytes), on_disk,
      format_bytes(disk_bytes), spilling, quarantined);
}

std::string grown(const Books& before, const Books& now, std::uint64_t late_connections) {
  std::string what;
  const auto look = [&](const char* name, std::uint64_t was, std::uint64_t is, std::uint64_t play) {
    if (is > was + play) what += fmt::format("{}{} from {} to {}", what.empty() ? "" : ", ", name, was, is);
  };
  if (kHeapTells) look("heap bytes", before.heap_bytes, now.heap_bytes, kHeapPlay);
  look("descriptors", before.descriptors, now.descriptors, 0);
  look("spill files", 0, now.spill_files, kMostSpillFiles);
  look("sockets", before.sockets, now.sockets, late_connections);
  look("threads", before.threads, now.threads, 0);
  look("bytes in the arena", before.arena_bytes, now.arena_bytes, kArenaPlay);
  return what;
}

}  // namespace holdfast::soak
