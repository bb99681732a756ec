#include "src/access_log.h"

#include <algorithm>

namespace holdfast {

void AccessLog::enable(std::function<void()> wake) {
  const bool on = wake != nullptr;
  if (!on) enabled_.store(false, std::memory_order_release);
  wake_ = std::move(wake);
  if (on) enabled_.store(true, std::memory_order_release);
}

void AccessLog::sample(Shard& shard, const ObjectId& id, MemberId owner) noexcept {
  const std::uint32_t count = shard.count.load(std::memory_order_relaxed);
  const std::uint32_t number = shard.noted.load(std::memory_order_relaxed);
  shard.noted.store(number + 1, std::memory_order_relaxed);
  shard.next.store(count + 1 + static_cast<std::uint32_t>(mix64(count) % kLongestStep),
                   std::memory_order_relaxed);
  // A member does not live to put 2^40 objects; if one does, its hints are for others.
  constexpr std::uint64_t kLowMask = (std::uint64_t{1} << kOwnerShift) - 1;
  shard.samples[number % kKept].store((std::uint64_t{owner.value} + 1) << kOwnerShift | (id.low & kLowMask),
                                      std::memory_order_relaxed);
  if (!some_.load(std::memory_order_relaxed) && !some_.exchange(true, std::memory_order_acq_rel)) wake_();
}

std::map<MemberId, std::vector<std::uint64_t>> AccessLog::take() {
  some_.store(false, std::memory_order_release);
  std::map<MemberId, std::vector<std::uint64_t>> taken;
  for (Shard& shard : shards_) {
    if (shard.noted.load(std::memory_order_relaxed) == 0) continue;
    for (auto& place : shard.samples) {
      if (place.load(std::memory_order_relaxed) == 0) continue;
      const std::uint64_t sample = place.exchange(0, std::memory_order_relaxed);
      constexpr std::uint64_t kLowMask = (std::uint64_t{1} << kOwnerShift) - 1;
      taken[{static_cast<std::uint32_t>(sample >> kOwnerShift) - 1}].push_back(sample & kLowMask);
    }
  }
  for (auto& [owner, ids] : taken) {
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  }
  return taken;
}

}  // namespace holdfast
