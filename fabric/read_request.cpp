#include "fabric/read_request.h"

#include <fmt/format.h>

namespace holdfast::fabric {

std::optional<std::string> what_is_wrong(const ReadRequest& request, const FabricInfo& info) {
  const std::uint64_t size = request.into.size();
  const auto outside = [&request](std::uint64_t offset, std::uint64_t bytes) -> std::optional<std::string> {
    if (offset <= request.from.bytes && bytes <= request.from.bytes - offset) return std::nullopt;
    return fmt::format("{} bytes at {} are outside the exposed memory of {} bytes", bytes, offset,
                       request.from.bytes);
  };
  if (request.gather.empty()) return outside(request.offset, size);
  if (request.gather.size() > info.max_gather)
    return fmt::format("{} stretches in one read; this fabric takes {}", request.gather.size(),
                       info.max_gather);
  std::uint64_t bytes = 0;
  for (const Stretch& stretch : request.gather) {
    if (auto wrong = outside(stretch.offset, stretch.bytes)) return wrong;
    bytes += stretch.bytes;
  }
  if (bytes != size) return fmt::format("stretches of {} bytes do not fill a buffer of {}", bytes, size);
  if (size > info.best_read_bytes)
    return fmt::format("stretches of {} bytes together; at most {} are one read", size, info.best_read_bytes);
  return std::nullopt;
}

}  // namespace holdfast::fabric
